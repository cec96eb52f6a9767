"""What a change does to the model: one Markdown page with pictures, for a pull request."""
