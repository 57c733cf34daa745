"""ONNX Runtime sessions, set for a small machine that does much else and runs for months."""

import onnxruntime as ort

from vision.freed_memory import give_all_back
from vision.models.errors import UnusableModelError
from vision.models.manifest import Model
from vision.models.memory_file import memory_file, path_of


def load_session(model: Model, *, threads: int = 1) -> ort.InferenceSession:
    """Load a model; the bytes that are loaded are those whose hash was right.

    Raises:
        ModelError: its file is missing, has another hash or is no network.
    """
    return open_session(model.read(), name=model.name, threads=threads)


def open_session(content: bytes, *, name: str, threads: int = 1) -> ort.InferenceSession:
    """Make a session of a network, on the CPU.

    The arena stays and memory patterns go: so 10,000 runs in changing sizes leave the memory
    where the largest of them put it, and a session takes the least (measured with 1.32). It is
    given a path, since it keeps bytes for as long as it lives, and what the C library holds back
    after loading is returned: together 70 MB of a network of 22 MB.

    Raises:
        UnusableModelError: it is no network.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    with memory_file(content) as file:
        try:
            session = ort.InferenceSession(
                path_of(file), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its errors have no common root
            reason = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
            msg = f"model {name}: ONNX Runtime cannot load it: {reason}"
            raise UnusableModelError(msg) from error
    give_all_back()
    return session
