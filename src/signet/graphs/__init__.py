"""Network graphs as files: whether they may be opened, and surgery on them without torch.

`opening` and `safety` need nothing but Python; `with_onnx` and `with_openvino` cut a graph before its head
and join a new one, each with its own library; `quarantine` opens a stranger's graph in a child process first.
"""
