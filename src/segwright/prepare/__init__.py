"""From a scan to a network-ready array and back onto the scan's own grid, with a cache in between."""
