"""What the numbers in label files mean: facts of every file first, then one decision over all of them."""
