// cuBLAS and cuBLASLt: products that are logged with their extents, and computed by nobody.
#include <cublasLt.h>
#include <cublas_v2.h>

#include "device.h"

using namespace fake;

namespace {

struct Handle {
  cudaStream_t stream;
  cublasMath_t math;
  cublasPointerMode_t mode;
};

struct Layout {
  cudaDataType type;
  uint64_t rows, columns;
};

struct Operation {
  cublasComputeType_t arithmetic;
};

Handle* own(cublasHandle_t handle) { return reinterpret_cast<Handle*>(handle); }

const char* name_of(cudaDataType type, cublasComputeType_t arithmetic = CUBLAS_COMPUTE_32F) {
  if (arithmetic == CUBLAS_COMPUTE_32F_FAST_TF32) return "tf32";
  switch (type) {
    case CUDA_R_16BF: return "bf16";
    case CUDA_R_16F: return "fp16";
    case CUDA_R_32F: return "fp32";
    default: return "other";
  }
}

std::string extents(uint64_t rows, uint64_t columns, uint64_t inner) {
  return std::to_string(rows) + "x" + std::to_string(columns) + "x" + std::to_string(inner);
}

cublasStatus_t product(const std::string& type, int m, int n, int k, cudaStream_t stream) {
  return work("product", type + " " + extents(m, n, k), stream_of(stream)) ? CUBLAS_STATUS_EXECUTION_FAILED : CUBLAS_STATUS_SUCCESS;
}

// Whether fp32 is rounded to TF32 is told to the handle, or by the call.
const char* arithmetic_of(cublasHandle_t handle, cudaDataType type, cublasComputeType_t arithmetic) {
  const bool is_tf32 = type == CUDA_R_32F && own(handle)->math == CUBLAS_TF32_TENSOR_OP_MATH;
  return is_tf32 ? "tf32" : name_of(type, arithmetic);
}

const char* single(cublasHandle_t handle) { return arithmetic_of(handle, CUDA_R_32F, CUBLAS_COMPUTE_32F); }

}  // namespace

// --- handles ----------------------------------------------------------------------------------------------------------------

EXPORTED cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
  *handle = reinterpret_cast<cublasHandle_t>(new Handle{});
  return CUBLAS_STATUS_SUCCESS;
}

EXPORTED cublasStatus_t cublasDestroy_v2(cublasHandle_t) { return CUBLAS_STATUS_SUCCESS; }

EXPORTED cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
  own(handle)->stream = stream;
  return CUBLAS_STATUS_SUCCESS;
}

EXPORTED cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t, void*, size_t) { return CUBLAS_STATUS_SUCCESS; }

EXPORTED cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t math) {
  own(handle)->math = math;
  return CUBLAS_STATUS_SUCCESS;
}

EXPORTED cublasStatus_t cublasGetMathMode(cublasHandle_t handle, cublasMath_t* math) {
  *math = own(handle)->math;
  return CUBLAS_STATUS_SUCCESS;
}

EXPORTED cublasStatus_t cublasSetPointerMode_v2(cublasHandle_t handle, cublasPointerMode_t mode) {
  own(handle)->mode = mode;
  return CUBLAS_STATUS_SUCCESS;
}

EXPORTED cublasStatus_t cublasGetPointerMode_v2(cublasHandle_t handle, cublasPointerMode_t* mode) {
  *mode = own(handle)->mode;
  return CUBLAS_STATUS_SUCCESS;
}

EXPORTED cublasStatus_t cublasSetSmCountTarget(cublasHandle_t, int) { return CUBLAS_STATUS_SUCCESS; }

// --- products of cuBLAS -----------------------------------------------------------------------------------------------------

EXPORTED cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t, cublasOperation_t, int m, int n, int k, const void*,
                                     const void*, cudaDataType type, int, const void*, cudaDataType, int, const void*, void*, cudaDataType,
                                     int, cublasComputeType_t arithmetic, cublasGemmAlgo_t) {
  return product(arithmetic_of(handle, type, arithmetic), m, n, k, own(handle)->stream);
}

EXPORTED cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t, cublasOperation_t, int m, int n, int k,
                                                   const void*, const void*, cudaDataType type, int, long long, const void*, cudaDataType,
                                                   int, long long, const void*, void*, cudaDataType, int, long long, int,
                                                   cublasComputeType_t arithmetic, cublasGemmAlgo_t) {
  return product(arithmetic_of(handle, type, arithmetic), m, n, k, own(handle)->stream);
}

EXPORTED cublasStatus_t cublasSgemmEx(cublasHandle_t handle, cublasOperation_t, cublasOperation_t, int m, int n, int k, const float*,
                                      const void*, cudaDataType type, int, const void*, cudaDataType, int, const float*, void*,
                                      cudaDataType, int) {
  return product(name_of(type), m, n, k, own(handle)->stream);
}

EXPORTED cublasStatus_t cublasSgemm_v2(cublasHandle_t handle, cublasOperation_t, cublasOperation_t, int m, int n, int k, const float*,
                                       const float*, int, const float*, int, const float*, float*, int) {
  return product(single(handle), m, n, k, own(handle)->stream);
}

EXPORTED cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t handle, cublasOperation_t, cublasOperation_t, int m, int n, int k,
                                                  const float*, const float*, int, long long, const float*, int, long long, const float*,
                                                  float*, int, long long, int) {
  return product(single(handle), m, n, k, own(handle)->stream);
}

EXPORTED cublasStatus_t cublasSgemv_v2(cublasHandle_t handle, cublasOperation_t, int m, int n, const float*, const float*, int,
                                       const float*, int, const float*, float*, int) {
  return product(single(handle), m, n, 1, own(handle)->stream);
}

// --- products of cuBLASLt ---------------------------------------------------------------------------------------------------

EXPORTED cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* made, cublasComputeType_t arithmetic, cudaDataType_t) {
  *made = reinterpret_cast<cublasLtMatmulDesc_t>(new Operation{arithmetic});
  return CUBLAS_STATUS_SUCCESS;
}

EXPORTED cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t made) {
  delete reinterpret_cast<Operation*>(made);
  return CUBLAS_STATUS_SUCCESS;
}

EXPORTED cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t, cublasLtMatmulDescAttributes_t, const void*, size_t) {
  return CUBLAS_STATUS_SUCCESS;
}

EXPORTED cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* made) {
  static char place;
  *made = reinterpret_cast<cublasLtMatmulPreference_t>(&place);
  return CUBLAS_STATUS_SUCCESS;
}

EXPORTED cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t) { return CUBLAS_STATUS_SUCCESS; }

EXPORTED cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t, cublasLtMatmulPreferenceAttributes_t, const void*,
                                                             size_t) {
  return CUBLAS_STATUS_SUCCESS;
}

EXPORTED cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* made, cudaDataType type, uint64_t rows, uint64_t columns,
                                                   int64_t) {
  *made = reinterpret_cast<cublasLtMatrixLayout_t>(new Layout{type, rows, columns});
  return CUBLAS_STATUS_SUCCESS;
}

EXPORTED cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t made) {
  delete reinterpret_cast<Layout*>(made);
  return CUBLAS_STATUS_SUCCESS;
}

EXPORTED cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t, cublasLtMatrixLayoutAttribute_t, const void*, size_t) {
  return CUBLAS_STATUS_SUCCESS;
}

EXPORTED cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t, cublasLtMatrixLayout_t,
                                                       cublasLtMatrixLayout_t, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                                       cublasLtMatmulPreference_t, int, cublasLtMatmulHeuristicResult_t* found,
                                                       int* count) {
  *found = {};
  *count = 1;
  return CUBLAS_STATUS_SUCCESS;
}

EXPORTED cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t operation, const void*, const void*, cublasLtMatrixLayout_t first,
                                       const void*, cublasLtMatrixLayout_t, const void*, const void*, cublasLtMatrixLayout_t, void*,
                                       cublasLtMatrixLayout_t result, const cublasLtMatmulAlgo_t*, void*, size_t, cudaStream_t stream) {
  const auto* a = reinterpret_cast<Layout*>(first);
  const auto* d = reinterpret_cast<Layout*>(result);
  const auto arithmetic = reinterpret_cast<Operation*>(operation)->arithmetic;
  return product(name_of(a->type, arithmetic), d->rows, d->columns, a->rows == d->rows ? a->columns : a->rows, stream);
}
