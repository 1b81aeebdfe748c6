"""Where the SecurityEventWebhooks come from; nothing here sends or stores."""
