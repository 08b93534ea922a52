"""Results for people: words, terminal, figures, page. No formula lives here."""
