// As much of ONNX Runtime's C++ interface as a generated program calls, declared for a compiler to check it against.
// Source: onnxruntime_cxx_api.h of ONNX Runtime 1.12, its names and signatures.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

struct OrtAllocator;
enum OrtLoggingLevel { ORT_LOGGING_LEVEL_WARNING = 2 };
enum OrtAllocatorType { OrtDeviceAllocator = 0, OrtArenaAllocator = 1 };
enum OrtMemType { OrtMemTypeDefault = 0 };
enum ONNXTensorElementDataType { ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT = 1 };
using ORTCHAR_T = std::filesystem::path::value_type;

namespace Ort {

struct Env {
  Env(OrtLoggingLevel level = ORT_LOGGING_LEVEL_WARNING, const char* name = "");
};

struct SessionOptions {
  SessionOptions();
  SessionOptions& AddConfigEntry(const char* key, const char* value);
};

struct RunOptions {
  explicit RunOptions(std::nullptr_t);
};

struct AllocatorWithDefaultOptions {
  AllocatorWithDefaultOptions();
  operator OrtAllocator*();
};

struct Freed {
  void operator()(void* text) const;
};
using AllocatedStringPtr = std::unique_ptr<char, Freed>;

struct MemoryInfo {
  static MemoryInfo CreateCpu(OrtAllocatorType allocator, OrtMemType memory);
};

struct TensorTypeAndShapeInfo {
  ONNXTensorElementDataType GetElementType() const;
  std::size_t GetElementCount() const;
};

struct Value {
  template <typename T>
  static Value CreateTensor(
      const MemoryInfo& memory, T* data, std::size_t count, const std::int64_t* shape, std::size_t axes);
  template <typename T>
  const T* GetTensorData() const;
  TensorTypeAndShapeInfo GetTensorTypeAndShapeInfo() const;
};

struct Session {
  Session(Env& surroundings, const ORTCHAR_T* file, const SessionOptions& options);
  AllocatedStringPtr GetInputNameAllocated(std::size_t place, OrtAllocator* allocator) const;
  AllocatedStringPtr GetOutputNameAllocated(std::size_t place, OrtAllocator* allocator) const;
  std::vector<Value> Run(
      const RunOptions& options, const char* const* inputs, const Value* values, std::size_t count,
      const char* const* outputs, std::size_t asked);
};

}  // namespace Ort
