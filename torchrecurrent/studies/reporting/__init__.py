"""What came of a study: tables, figures, claims."""
