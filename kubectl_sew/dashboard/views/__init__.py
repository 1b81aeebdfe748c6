"""What each page shows, made of facts: pure. No clock, no request, no markup enters here."""
