"""What is owed, on disk: deliveries, positions, what is known, and the counts that must balance."""
