"""A Kotlin program for Android: ONNX Runtime for ONNX files, LiteRT for `.tflite`; never run here."""

from __future__ import annotations

from signet.cards import Card
from signet.exporting.snippets import calls, words

_ONNX = """\
    private val environment = OrtEnvironment.getEnvironment()
    private val session = environment.createSession(
        context.assets.open(FILE).use { it.readBytes() },
        // Pad_Fusion makes a padding with zeros part of a max pooling, which pads otherwise.
        OrtSession.SessionOptions().apply {
            addConfigEntry("optimization.disable_specified_optimizers", "Pad_Fusion")
        },
    )

    private fun run(array: ByteBuffer, width: Int, height: Int): List<Double> {
        val (wide, high) = width.toLong() to height.toLong()
        val shape = if (CHANNELS_FIRST) longArrayOf(1, 3, high, wide) else longArrayOf(1, high, wide, 3)
        val type = if (FLOATS) OnnxJavaType.FLOAT else OnnxJavaType.UINT8
        return OnnxTensor.createTensor(environment, array, shape, type).use { tensor ->
            session.run(mapOf(session.inputNames.first() to tensor)).use { answered ->
                val numbers = (answered[%s] as OnnxTensor).floatBuffer
                List(numbers.remaining()) { numbers[it].toDouble() }
            }
        }
    }

    override fun close() = session.close()"""

_LITERT = """\
    private val interpreter = context.assets.open(FILE).use { it.readBytes() }.let { bytes ->
        val model = ByteBuffer.allocateDirect(bytes.size).order(ByteOrder.nativeOrder())
        model.put(bytes).rewind()
        Interpreter(model)
    }

    @Suppress("UNUSED_PARAMETER") // the shape is fixed in the file
    private fun run(array: ByteBuffer, width: Int, height: Int): List<Double> {
        val size = interpreter.getOutputTensor(%s).numBytes()
        val answered = ByteBuffer.allocateDirect(size).order(ByteOrder.nativeOrder())
        interpreter.runForMultipleInputsOutputs(arrayOf(array), mapOf(%s to answered))
        return List(size / 4) { answered.getFloat(it * 4).toDouble() }
    }

    override fun close() = interpreter.close()"""

_IMPORTS = {
    "onnx": "\n".join(f"import ai.onnxruntime.{name}" for name in ("OnnxJavaType", "OnnxTensor"))
    + "\nimport ai.onnxruntime.OrtEnvironment\nimport ai.onnxruntime.OrtSession",
    "litert": "import org.tensorflow.lite.Interpreter",
}
_NEEDS = {
    "onnx": "com.microsoft.onnxruntime:onnxruntime-android",
    "litert": "com.google.ai.edge.litert:litert, 1.4 or newer",
}


def _literal(text: str) -> str:
    """A text in a literal; what is not plain ASCII by its units of UTF-16."""
    units = text.encode("utf-16-be", "replace")
    codes = (int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2))
    plain = {'"': '\\"', "\\": "\\\\", "$": "\\$"}
    letters = (plain.get(chr(code), chr(code)) if 0x20 <= code < 0x7F else f"\\u{code:04x}" for code in codes)
    return f'"{"".join(letters)}"'


_LANGUAGE = calls.Language(
    template="kotlin.txt", literal=_literal, dtypes=("true", "false"), end="", indent="    "
)


def written(card: Card, to: str, file: str) -> str:
    """The program.

    Raises:
        CannotSay: there is none for this model, or for this format.
    """
    place = card.output.tensor
    if to == "onnx":
        # By name the answer is an Optional.
        asked = f"get({_literal(place)}).get()" if isinstance(place, str) else f"get({place})"
        runtime = _ONNX.replace("answered[%s]", f"answered.{asked}")
    elif to == "litert" and isinstance(place, int):
        runtime = _LITERT.replace("%s", str(place))
    else:
        raise words.CannotSay("Kotlin programs are for ONNX and LiteRT files")
    own = {"RUNTIME": runtime, "IMPORTS": _IMPORTS[to], "NEEDS": _NEEDS[to]}
    return calls.written(card, file, _LANGUAGE, own)
