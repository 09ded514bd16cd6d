"""Float16 graphs for the CUDA provider of ONNX Runtime."""
