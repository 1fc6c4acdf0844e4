"""Pages and tables that people read and forward: one offline HTML file a run, and plain text for terminals."""
