"""A Swift program: Core ML for `.mlpackage`, ONNX Runtime for ONNX files; written here, never run here."""

from __future__ import annotations

from signet.cards import Card
from signet.exporting.snippets import calls, words

_ONNX = """\
struct Network {
    let surroundings: ORTEnv
    let session: ORTSession

    init() throws {
        let options = try ORTSessionOptions()
        // Pad_Fusion makes a padding with zeros part of a max pooling, which pads otherwise.
        try options.addConfigEntry(withKey: "optimization.disable_specified_optimizers", value: "Pad_Fusion")
        surroundings = try ORTEnv(loggingLevel: .warning)
        session = try ORTSession(env: surroundings, modelPath: file, sessionOptions: options)
    }

    func run(_ picture: Picture) throws -> [Double] {
        let array = prepared(picture)
        let bytes = floats ? array.withUnsafeBytes { Data($0) } : Data(array.map { UInt8($0) })
        let type: ORTTensorElementDataType = floats ? .float : .uInt8
        let tensor = try ORTValue(
            tensorData: NSMutableData(data: bytes), elementType: type, shape: shape(picture))
        let input = try session.inputNames()[0]
        let output = @ASKED@
        let answered = try session.run(withInputs: [input: tensor], outputNames: [output], runOptions: nil)
        guard let value = answered[output] else { throw Failure(description: "it does not answer") }
        let data = try value.tensorData() as Data
        return data.withUnsafeBytes { $0.bindMemory(to: Float.self).map(Double.init) }
    }
}"""

_COREML = """\
struct Network {
    let model: MLModel
    let input: String
    let output = @ASKED@

    init() throws {
        let options = MLModelConfiguration()
        options.computeUnits = .cpuOnly // float32, as sealed; other units may compute in float16
        let compiled = try MLModel.compileModel(at: URL(fileURLWithPath: file))
        model = try MLModel(contentsOf: compiled, configuration: options)
        guard let name = model.modelDescription.inputDescriptionsByName.keys.first else {
            throw Failure(description: "the model takes nothing")
        }
        input = name
    }

    func run(_ picture: Picture) throws -> [Double] {
        let tensor = try MLMultiArray(shape: shape(picture), dataType: .float32)
        for (place, value) in prepared(picture).enumerated() { tensor[place] = NSNumber(value: value) }
        let asked = try MLDictionaryFeatureProvider(dictionary: [input: MLFeatureValue(multiArray: tensor)])
        let answered = try model.prediction(from: asked).featureValue(for: output)
        guard let made = answered?.multiArrayValue else { throw Failure(description: "it does not answer") }
        return (0..<made.count).map { made[$0].doubleValue }
    }
}"""

_NEEDS = {
    "onnx": "github.com/microsoft/onnxruntime-swift-package-manager",
    "coreml": "nothing but the system",
}


def _literal(text: str) -> str:
    """A text in a literal; what is not plain ASCII by its code."""
    plain = {'"': '\\"', "\\": "\\\\"}
    letters = (
        plain.get(letter, letter) if " " <= letter <= "~" else f"\\u{{{ord(letter):x}}}" for letter in text
    )
    return f'"{"".join(letters)}"'


_LANGUAGE = calls.Language(
    template="swift.txt", literal=_literal, dtypes=("true", "false"), end="", indent="    "
)


def written(card: Card, to: str, file: str) -> str:
    """The program.

    Raises:
        CannotSay: there is none for this model, or for this format.
    """
    place = card.output.tensor
    if to == "onnx":
        asked = _literal(place) if isinstance(place, str) else f"try session.outputNames()[{place}]"
        runtime, imports = _ONNX, "import OnnxRuntimeBindings"
    elif to == "coreml":
        runtime, imports = _COREML, "import CoreML"
        asked = _literal(place if isinstance(place, str) else _output(card, place))
    else:
        raise words.CannotSay("Swift programs are for ONNX and Core ML files")
    own = {"RUNTIME": runtime.replace("@ASKED@", asked), "IMPORTS": imports, "NEEDS": _NEEDS[to]}
    return calls.written(card, file, _LANGUAGE, own)


def _output(card: Card, place: int) -> str:
    """The name of an output of a Core ML package, which the export gave it."""
    outputs = card.lineage.get("exported_from", {}).get("outputs", ())
    if place >= len(outputs):
        raise words.CannotSay("the card does not name the outputs of its Core ML package")
    return str(outputs[place])
