"""Image in, mask out, on the image's own grid."""
