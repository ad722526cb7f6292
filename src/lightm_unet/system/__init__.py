"""The computer underneath: devices, memory, files; knows no image and no network."""
