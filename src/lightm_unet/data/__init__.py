"""Files, cases, splits, transforms and phantoms: everything between a folder and a tensor."""
