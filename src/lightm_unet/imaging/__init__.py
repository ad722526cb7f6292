"""Images and label maps: files to arrays and back, and the grid that says where voxels lie."""
