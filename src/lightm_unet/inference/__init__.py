"""Segment images: from an image to a mask on the image's own grid."""
