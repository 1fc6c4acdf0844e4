"""The viewer: a local server that sends slices, and a page that paints, colours and compares them."""
