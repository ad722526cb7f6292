"""From an image to the network's input, and from its output back to the image's grid."""
