"""TensorFlow's operators: those that only compute, and what is wrong with others."""

from __future__ import annotations

_NAMES = """
    Abs Acos Acosh Add AddN AddV2 AdjustContrastv2 AdjustHue AdjustSaturation All Any ApproximateEqual
    ArgMax ArgMin Asin Asinh Assert Atan Atan2 Atanh AvgPool AvgPool3D BatchMatMul BatchMatMulV2
    BatchMatMulV3 BatchToSpaceND BiasAdd Bincount BitwiseAnd BitwiseOr BitwiseXor BroadcastArgs BroadcastTo
    Bucketize Cast Ceil CheckNumerics CheckNumericsV2 ClipByValue Concat ConcatV2 Const Conv2D
    Conv2DBackpropInput Conv3D Conv3DBackpropInputV2 Cos Cosh CropAndResize Cumsum DepthToSpace
    DepthwiseConv2dNative Div DivNoNan DynamicPartition DynamicStitch Einsum Elu EmptyTensorList EnsureShape
    Enter Equal Erf Erfc EuclideanNorm Exit Exp ExpandDims Expm1 ExtractImagePatches FakeQuantWithMinMaxArgs
    FakeQuantWithMinMaxVars FakeQuantWithMinMaxVarsPerChannel Fill Floor FloorDiv FloorMod FusedBatchNorm
    FusedBatchNormV2 FusedBatchNormV3 Gather GatherNd GatherV2 Greater GreaterEqual HSVToRGB Identity
    IdentityN If Inv Invert InvertPermutation IsFinite IsInf IsNan L2Loss LeakyRelu LeftShift Less LessEqual
    LinSpace ListDiff Log Log1p LogicalAnd LogicalNot LogicalOr LogicalXor LogSoftmax LoopCond LRN MatMul
    MatrixBandPart MatrixDiag Max Maximum MaxPool MaxPool3D MaxPoolV2 MaxPoolWithArgmax Mean Merge Min
    Minimum MirrorPad Mish Mod Mul MulNoNan Neg NextIteration NonMaxSuppression NonMaxSuppressionV2
    NonMaxSuppressionV3 NonMaxSuppressionV4 NonMaxSuppressionV5 NoOp NotEqual OneHot OnesLike Pack Pad PadV2
    ParallelDynamicStitch PartitionedCall Placeholder PlaceholderWithDefault Pow PreventGradient Prod Qr
    Range Rank ReadVariableOp RealDiv Reciprocal Relu Relu6 Reshape ResizeBilinear ResizeNearestNeighbor
    ResourceGather Reverse ReverseSequence ReverseV2 RGBToHSV RightShift Rint Roll Round Rsqrt ScatterNd
    SegmentSum Select SelectV2 Selu Shape ShapeN Sigmoid Sign Sin Sinh Size Slice Snapshot Softmax Softplus
    Softsign SpaceToBatchND SpaceToDepth SparseToDense Split SplitV Sqrt Square SquaredDifference Squeeze
    StatefulPartitionedCall StatelessIf StatelessWhile StopGradient StridedSlice Sub Sum Swish Switch Tan
    Tanh TensorArrayCloseV3 TensorArrayConcatV3 TensorArrayGatherV3 TensorArrayReadV3 TensorArrayScatterV3
    TensorArraySizeV3 TensorArrayV3 TensorArrayWriteV3 TensorListConcatV2 TensorListFromTensor
    TensorListGetItem TensorListLength TensorListPushBack TensorListReserve TensorListResize
    TensorListSetItem TensorListStack TensorScatterAdd TensorScatterUpdate Tile ToBool TopK TopKV2 Transpose
    TruncateDiv TruncateMod Unique UniqueWithCounts Unpack UnravelIndex UnsortedSegmentMax
    UnsortedSegmentSum VarHandleOp Variable VariableV2 Where While Xdivy XlaConvV2 XlaDotV2 Xlog1py Xlogy
    ZerosLike
"""
COMPUTING = frozenset(_NAMES.split())
"""Operators that read their inputs and the model's own variables, and change nothing.

Source: TensorFlow 2.21 op definitions, of those that OpenVINO 2026.4 translates: not the stateful ones (but
for variables that are read, calls, arrays within a loop and checks), nor strings, tables, queues and chance.
"""

_REFUSED = {
    "runs Python code": ("PyFunc", "PyFuncStateless", "EagerPyFunc"),
    "reads, writes or prints": (
        *(
            "ReadFile",
            "WriteFile",
            "MatchingFiles",
            "WholeFileReader",
            "WholeFileReaderV2",
            "Print",
            "PrintV2",
        ),
        *("Save", "SaveV2", "SaveSlices", "Restore", "RestoreV2", "RestoreSlice", "MergeV2Checkpoints"),
        *("ReaderRead", "ReaderReadV2", "TFRecordReader", "TFRecordReaderV2", "TextLineReader"),
        *("TFRecordDataset", "TextLineDataset", "FixedLengthRecordDataset", "WriteSummary", "ImmutableConst"),
        *("InitializeTableFromTextFile", "InitializeTableFromTextFileV2"),
    ),
    "changes a variable, as training does": (
        *(
            "Assign",
            "AssignAdd",
            "AssignSub",
            "AssignVariableOp",
            "AssignAddVariableOp",
            "AssignSubVariableOp",
        ),
    ),
    "draws at random, as training does": (
        *(
            "RandomUniform",
            "RandomUniformInt",
            "RandomStandardNormal",
            "StatelessRandomUniformV2",
            "Multinomial",
        ),
    ),
    "decodes pictures, which Signet does itself": (
        *("DecodeJpeg", "DecodePng", "DecodeImage", "DecodeBmp", "DecodeAndCropJpeg", "ParseExample"),
        *("ParseExampleV2", "DecodeRaw"),
    ),
}
"""The best known of the others, by what they do."""


def why_refused(operator: str) -> str:
    """What an operator does that a network may not, in words."""
    why = next((words for words, names in _REFUSED.items() if operator in names), None)
    return why or "is not one of the known ones that only compute"
