"""ImageJ regions of interest: single .roi files and .zip archives of them."""
