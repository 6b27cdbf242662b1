// libcuda.so.1, which Triton links: one device, and modules whose functions do nothing but be told of.
#define CUDA_API_PER_THREAD_DEFAULT_STREAM_NO
#include <cuda.h>
#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#undef cuDeviceGetAttribute
#define EXPORTED extern "C" __attribute__((visibility("default")))
#define SUCCEEDS(name, ...) \
  EXPORTED CUresult name(__VA_ARGS__) { return CUDA_SUCCESS; }

static char place[64];  // what handles point to: nobody looks

template <typename Handle>
static CUresult handed(Handle* handle) {
  *handle = reinterpret_cast<Handle>(place);
  return CUDA_SUCCESS;
}

template <typename Value>
static CUresult told(Value* value, Value what) {
  *value = what;
  return CUDA_SUCCESS;
}

static CUresult launch(CUfunction function, CUstream stream) {
  using Launch = int (*)(const char*, void*);
  static const auto runtime = reinterpret_cast<Launch>(dlsym(RTLD_DEFAULT, "fake_driver_launch"));
  const bool failed = runtime && runtime(reinterpret_cast<const char*>(function), stream);
  return failed ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : CUDA_SUCCESS;
}

EXPORTED CUresult cuInit(unsigned) {
  if (getenv("FAKE_GPU_TRACE")) fprintf(stderr, "fake GPU: cuInit in process %d\n", getpid());
  return CUDA_SUCCESS;
}

EXPORTED CUresult cuDeviceGetCount(int* count) { return told(count, 1); }

EXPORTED CUresult cuDeviceGet(CUdevice* device, int) { return told(device, 0); }

EXPORTED CUresult cuDriverGetVersion(int* version) { return told(version, 13020); }

EXPORTED CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice) {
  static const std::map<int, int> h100 = {
      {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 9},
      {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 0},
      {CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 132},
      {CU_DEVICE_ATTRIBUTE_WARP_SIZE, 32},
      {CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK, 65536},
      {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, 49152},
      {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 232448},
      {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR, 233472},
      {CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH, 5120},
      {CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE, 2619000},
      {CU_DEVICE_ATTRIBUTE_CLOCK_RATE, 1980000},
  };
  const auto found = h100.find(attribute);
  return told(value, found == h100.end() ? 1 : found->second);
}

EXPORTED CUresult cuCtxGetCurrent(CUcontext* context) { return handed(context); }

SUCCEEDS(cuCtxSetCurrent, CUcontext)

EXPORTED CUresult cuCtxGetDevice(CUdevice* device) { return told(device, 0); }

EXPORTED CUresult cuCtxGetLimit(size_t* value, CUlimit) { return told(value, size_t(1) << 20); }

SUCCEEDS(cuCtxSetLimit, CUlimit, size_t)

EXPORTED CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice) { return handed(context); }

EXPORTED CUresult cuDevicePrimaryCtxGetState(CUdevice, unsigned* flags, int* active) { return told(flags, 0u), told(active, 1); }

EXPORTED CUresult cuGetErrorString(CUresult, const char** said) { return told(said, "an error of the fake GPU"); }

EXPORTED CUresult cuModuleLoad(CUmodule* module, const char*) { return handed(module); }

EXPORTED CUresult cuModuleLoadData(CUmodule* module, const void*) { return handed(module); }

EXPORTED CUresult cuModuleLoadDataEx(CUmodule* module, const void*, unsigned, CUjit_option*, void**) { return handed(module); }

SUCCEEDS(cuModuleUnload, CUmodule)

EXPORTED CUresult cuModuleGetFunction(CUfunction* function, CUmodule, const char* name) {
  *function = reinterpret_cast<CUfunction>(strdup(name));  // it is its name, for as long as the process lives
  return CUDA_SUCCESS;
}

EXPORTED CUresult cuFuncGetAttribute(int* value, CUfunction_attribute attribute, CUfunction) {
  if (attribute == CU_FUNC_ATTRIBUTE_NUM_REGS) return told(value, 32);
  return told(value, attribute == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK ? 1024 : 0);
}

SUCCEEDS(cuFuncSetAttribute, CUfunction, CUfunction_attribute, int)
SUCCEEDS(cuFuncSetCacheConfig, CUfunction, CUfunc_cache)

EXPORTED CUresult cuLaunchKernel(CUfunction function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream stream,
                                 void**, void**) {
  return launch(function, stream);
}

EXPORTED CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction function, void**, void**) {
  return launch(function, config->hStream);
}

EXPORTED CUresult cuLaunchCooperativeKernel(CUfunction function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                                            CUstream stream, void**) {
  return launch(function, stream);
}

EXPORTED CUresult cuStreamIsCapturing(CUstream, CUstreamCaptureStatus* status) { return told(status, CU_STREAM_CAPTURE_STATUS_NONE); }

EXPORTED CUresult cuPointerGetAttribute(void* data, CUpointer_attribute, CUdeviceptr pointer) {
  return told(static_cast<CUdeviceptr*>(data), pointer);
}

EXPORTED CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, CUfunction, int threads, size_t) {
  return told(blocks, 2048 / threads);
}

EXPORTED CUresult cuOccupancyMaxActiveClusters(int* clusters, CUfunction, const CUlaunchConfig*) { return told(clusters, 1); }

// Linked, and never called: nothing here links device code or encodes tensor maps.
SUCCEEDS(cuLinkAddData_v2, CUlinkState, CUjitInputType, void*, size_t, const char*, unsigned, CUjit_option*, void**)
SUCCEEDS(cuLinkComplete, CUlinkState, void**, size_t*)
SUCCEEDS(cuLinkCreate_v2, unsigned, CUjit_option*, void**, CUlinkState*)
SUCCEEDS(cuTensorMapEncodeTiled, CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*, const cuuint64_t*,
         const cuuint32_t*, const cuuint32_t*, CUtensorMapInterleave, CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill)
SUCCEEDS(cuTensorMapEncodeIm2col, CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*, const cuuint64_t*, const int*,
         const int*, cuuint32_t, cuuint32_t, const cuuint32_t*, CUtensorMapInterleave, CUtensorMapSwizzle, CUtensorMapL2promotion,
         CUtensorMapFloatOOBfill)
