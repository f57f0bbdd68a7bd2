"""What is handed out: the image, signed packages, bills of materials, and their digests; equal sources give equal bytes."""
