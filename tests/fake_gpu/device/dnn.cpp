// cuDNN: its graph interface, in which PyTorch asks for convolutions, and the older calls for normalization and grids.
#include <cudnn.h>

#include <cstdlib>

#include "device.h"

using namespace fake;

namespace {

struct Handle {
  cudaStream_t stream;
};

// Of a tensor or of anything that is made of other descriptors: what a plan does is handed up from its operation.
struct Descriptor {
  cudnnBackendDescriptorType_t type;
  std::string what;
  std::vector<int64_t> extents, strides;
  int data_type = 0;
};

Descriptor* own(cudnnBackendDescriptor_t descriptor) { return reinterpret_cast<Descriptor*>(descriptor); }

cudaStream_t stream_under(cudnnHandle_t handle) { return reinterpret_cast<Handle*>(handle)->stream; }

const char* name_of(cudnnBackendDescriptorType_t type) {
  switch (type) {
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR: return "forward";
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR: return "input gradient";
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR: return "weight gradient";
    default: return "";
  }
}

// "type[extents|strides]", the numbers with spaces between.
std::string shown(const Descriptor& tensor) {
  std::string said = std::to_string(tensor.data_type) + "[";
  for (auto extent : tensor.extents) said += std::to_string(extent) + " ";
  said += "|";
  for (auto stride : tensor.strides) said += " " + std::to_string(stride);
  return said + "]";
}

void take_over(Descriptor& parent, const Descriptor& part) {
  if (part.type == CUDNN_BACKEND_TENSOR_DESCRIPTOR)
    parent.what += " " + shown(part);
  else if (!part.what.empty())
    parent.what = part.what;
}

template <typename Handle>
cudnnStatus_t handed(Handle* handle) {
  *handle = reinterpret_cast<Handle>(calloc(1, 64));
  return CUDNN_STATUS_SUCCESS;
}

template <typename Handle>
cudnnStatus_t taken_back(Handle handle) {
  free(handle);
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t no_bytes(size_t* size) {
  *size = 0;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t done(const std::string& kind, const std::string& what, cudnnHandle_t handle) {
  return work(kind, what, stream_of(stream_under(handle))) ? CUDNN_STATUS_EXECUTION_FAILED : CUDNN_STATUS_SUCCESS;
}

}  // namespace

// --- handles ----------------------------------------------------------------------------------------------------------------

EXPORTED cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  *handle = reinterpret_cast<cudnnHandle_t>(new Handle{});
  return CUDNN_STATUS_SUCCESS;
}

EXPORTED cudnnStatus_t cudnnDestroy(cudnnHandle_t) { return CUDNN_STATUS_SUCCESS; }

EXPORTED cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  reinterpret_cast<Handle*>(handle)->stream = stream;
  return CUDNN_STATUS_SUCCESS;
}

EXPORTED cudnnStatus_t cudnnGetStream(cudnnHandle_t handle, cudaStream_t* stream) {
  *stream = stream_under(handle);
  return CUDNN_STATUS_SUCCESS;
}

EXPORTED size_t cudnnGetVersion() { return CUDNN_VERSION; }

EXPORTED size_t cudnnGetCudartVersion() { return 13000; }

// --- convolutions -----------------------------------------------------------------------------------------------------------

EXPORTED cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t* made) {
  *made = reinterpret_cast<cudnnBackendDescriptor_t>(new Descriptor{type, name_of(type)});
  return CUDNN_STATUS_SUCCESS;
}

EXPORTED cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor) {
  delete own(descriptor);
  return CUDNN_STATUS_SUCCESS;
}

EXPORTED cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t) { return CUDNN_STATUS_SUCCESS; }

EXPORTED cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                                                cudnnBackendAttributeType_t type, int64_t count, const void* values) {
  Descriptor& target = *own(descriptor);
  const auto* numbers = static_cast<const int64_t*>(values);
  if (name == CUDNN_ATTR_TENSOR_DIMENSIONS) target.extents.assign(numbers, numbers + count);
  if (name == CUDNN_ATTR_TENSOR_STRIDES) target.strides.assign(numbers, numbers + count);
  if (name == CUDNN_ATTR_TENSOR_DATA_TYPE) target.data_type = *static_cast<const int*>(values);
  if (type != CUDNN_TYPE_BACKEND_DESCRIPTOR || !values) return CUDNN_STATUS_SUCCESS;
  for (int64_t number = 0; number < count; number++)
    if (const auto* part = static_cast<Descriptor* const*>(values)[number]) take_over(target, *part);
  return CUDNN_STATUS_SUCCESS;
}

EXPORTED cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                                                cudnnBackendAttributeType_t, int64_t wanted, int64_t* count, void* values) {
  int64_t found = 0;
  switch (name) {
    case CUDNN_ATTR_ENGINEHEUR_RESULTS:  // one engine, which does what was asked for
    case CUDNN_ATTR_ENGINECFG_ENGINE:
      found = 1;
      if (auto** parts = static_cast<Descriptor**>(values); parts && wanted > 0 && parts[0]) parts[0]->what = own(descriptor)->what;
      break;
    case CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE:
    case CUDNN_ATTR_ENGINECFG_WORKSPACE_SIZE:
      found = 1;
      if (values) *static_cast<int64_t*>(values) = 0;
      break;
    case CUDNN_ATTR_ENGINE_GLOBAL_INDEX:
    case CUDNN_ATTR_OPERATIONGRAPH_ENGINE_GLOBAL_COUNT:
      found = 1;
      if (values) *static_cast<int64_t*>(values) = 1;
      break;
    default: break;
  }
  if (count) *count = found;
  return CUDNN_STATUS_SUCCESS;
}

EXPORTED cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t) {
  return done("convolution", own(plan)->what, handle);
}

// --- descriptors of the older calls -----------------------------------------------------------------------------------------

EXPORTED cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t* made) { return handed(made); }

EXPORTED cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t made) { return taken_back(made); }

EXPORTED cudnnStatus_t cudnnSetTensorNdDescriptor(cudnnTensorDescriptor_t, cudnnDataType_t, int, const int*, const int*) {
  return CUDNN_STATUS_SUCCESS;
}

EXPORTED cudnnStatus_t cudnnCreateActivationDescriptor(cudnnActivationDescriptor_t* made) { return handed(made); }

EXPORTED cudnnStatus_t cudnnDestroyActivationDescriptor(cudnnActivationDescriptor_t made) { return taken_back(made); }

EXPORTED cudnnStatus_t cudnnCreateSpatialTransformerDescriptor(cudnnSpatialTransformerDescriptor_t* made) { return handed(made); }

EXPORTED cudnnStatus_t cudnnDestroySpatialTransformerDescriptor(cudnnSpatialTransformerDescriptor_t made) { return taken_back(made); }

EXPORTED cudnnStatus_t cudnnSetSpatialTransformerNdDescriptor(cudnnSpatialTransformerDescriptor_t, cudnnSamplerType_t, cudnnDataType_t,
                                                              const int, const int*) {
  return CUDNN_STATUS_SUCCESS;
}

// --- normalization, in fp16 -------------------------------------------------------------------------------------------------

EXPORTED cudnnStatus_t cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize(
    cudnnHandle_t, cudnnBatchNormMode_t, cudnnBatchNormOps_t, const cudnnTensorDescriptor_t, const cudnnTensorDescriptor_t,
    const cudnnTensorDescriptor_t, const cudnnTensorDescriptor_t, const cudnnActivationDescriptor_t, size_t* size) {
  return no_bytes(size);
}

EXPORTED cudnnStatus_t cudnnGetBatchNormalizationBackwardExWorkspaceSize(
    cudnnHandle_t, cudnnBatchNormMode_t, cudnnBatchNormOps_t, const cudnnTensorDescriptor_t, const cudnnTensorDescriptor_t,
    const cudnnTensorDescriptor_t, const cudnnTensorDescriptor_t, const cudnnTensorDescriptor_t, const cudnnTensorDescriptor_t,
    const cudnnActivationDescriptor_t, size_t* size) {
  return no_bytes(size);
}

EXPORTED cudnnStatus_t cudnnGetBatchNormalizationTrainingExReserveSpaceSize(cudnnHandle_t, cudnnBatchNormMode_t, cudnnBatchNormOps_t,
                                                                            const cudnnActivationDescriptor_t,
                                                                            const cudnnTensorDescriptor_t, size_t* size) {
  return no_bytes(size);
}

EXPORTED cudnnStatus_t cudnnBatchNormalizationForwardTrainingEx(
    cudnnHandle_t handle, cudnnBatchNormMode_t, cudnnBatchNormOps_t, const void*, const void*, const cudnnTensorDescriptor_t, const void*,
    const cudnnTensorDescriptor_t, const void*, const cudnnTensorDescriptor_t, void*, const cudnnTensorDescriptor_t, const void*,
    const void*, double, void*, void*, double, void*, void*, cudnnActivationDescriptor_t, void*, size_t, void*, size_t) {
  return done("normalization", "forward", handle);
}

EXPORTED cudnnStatus_t cudnnBatchNormalizationBackwardEx(
    cudnnHandle_t handle, cudnnBatchNormMode_t, cudnnBatchNormOps_t, const void*, const void*, const void*, const void*,
    const cudnnTensorDescriptor_t, const void*, const cudnnTensorDescriptor_t, const void*, const cudnnTensorDescriptor_t, const void*,
    const cudnnTensorDescriptor_t, void*, const cudnnTensorDescriptor_t, void*, const cudnnTensorDescriptor_t, const void*, const void*,
    void*, void*, double, const void*, const void*, cudnnActivationDescriptor_t, void*, size_t, void*, size_t) {
  return done("normalization", "backward", handle);
}

EXPORTED cudnnStatus_t cudnnBatchNormalizationForwardInference(cudnnHandle_t handle, cudnnBatchNormMode_t, const void*, const void*,
                                                               const cudnnTensorDescriptor_t, const void*, const cudnnTensorDescriptor_t,
                                                               void*, const cudnnTensorDescriptor_t, const void*, const void*, const void*,
                                                               const void*, double) {
  return done("normalization", "evaluation", handle);
}

// --- rotations --------------------------------------------------------------------------------------------------------------

EXPORTED cudnnStatus_t cudnnSpatialTfGridGeneratorForward(cudnnHandle_t handle, const cudnnSpatialTransformerDescriptor_t, const void*,
                                                          void*) {
  return done("grid", "generate", handle);
}

EXPORTED cudnnStatus_t cudnnSpatialTfSamplerForward(cudnnHandle_t handle, const cudnnSpatialTransformerDescriptor_t, const void*,
                                                    const cudnnTensorDescriptor_t, const void*, const void*, const void*,
                                                    const cudnnTensorDescriptor_t, void*) {
  return done("grid", "sample", handle);
}
