"""Networks as ONNX files, for ONNX Runtime, OpenVINO and other programs.

trace       torch's tracer: a graph of ONNX's operators, and a node of our own for each scan
operators   what the tracer must know of this package's ops
scan        a scan's node of ONNX's operators, in two forms
sizes       images of any size: padded at the graph's start, cropped at its end
agreement   the graph under ONNX Runtime against the network under torch
metadata    what a caller must know of the model, inside the file
write       all of it, for `export`
"""
