// CUDA's runtime without a GPU. Preloaded, it makes PyTorch's own CUDA build believe that there is one H100: memory is the
// host's, kernels do nothing, and everything that is asked of the device is logged. What is not here is CUDA's own, and fails
// without a driver; what is here is all that PyTorch calls in training.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "device.h"

namespace fake {

static thread_local cudaError_t last_error = cudaSuccess;

static Device* new_device() {
  Device* made = new Device;
  if (const char* bytes = getenv("FAKE_GPU_BYTES")) made->total = strtoull(bytes, nullptr, 10);
  return made;
}

Device& device() {
  static Device& made = *new_device();
  return made;
}

Stream* stream_of(cudaStream_t handle) {
  const bool is_default = handle == nullptr || handle == cudaStreamLegacy || handle == cudaStreamPerThread;
  return is_default ? &device().default_stream : reinterpret_cast<Stream*>(handle);
}

void say(const std::string& kind, const std::string& what, const Stream* stream) {
  if (!device().logging) return;
  const int number = stream ? stream->number : -1;
  const int capture = stream && stream->capture ? stream->capture->number : 0;
  device().log.push_back(std::to_string(number) + "\t" + std::to_string(capture) + "\t" + kind + "\t" + what);
}

cudaError_t failed(cudaError_t error) {
  last_error = error;
  return error;
}

cudaError_t work(const std::string& kind, const std::string& what, Stream* stream) {
  Locked locked(device().mutex);
  if (stream->capture && stream->capture->broken) return failed(cudaErrorStreamCaptureInvalidated);
  if (stream->capture) stream->capture->nodes++;
  say(kind, what, stream);
  return cudaSuccess;
}

Memory kind_of(const void* address) {
  Locked locked(device().mutex);
  const auto place = reinterpret_cast<uintptr_t>(address);
  auto after = device().blocks.upper_bound(place);
  if (after == device().blocks.begin()) return Memory::pageable;
  const auto& [start, block] = *--after;
  return place < start + block.size ? block.kind : Memory::pageable;
}

void trace(const char* call) {
  if (!getenv("FAKE_GPU_TRACE")) return;
  const char* shown = getenv("CUDA_VISIBLE_DEVICES");
  fprintf(stderr, "fake GPU: %s in process %d with CUDA_VISIBLE_DEVICES=%s\n", call, getpid(), shown ? shown : "(all)");
}

// PyTorch makes two more attempts, after it has freed what it keeps.
static bool is_refused() {
  long& left = device().allocation_to_refuse;
  if (left == 0) return false;
  left--;
  return left < 3;
}

// Bytes: what is larger is neither filled nor copied within the device. It would only take the host's memory and time, for zeros.
static const size_t LARGE = 1 << 20;

static cudaError_t take(void** address, size_t size, Memory kind) {
  const size_t page = 4096, rounded = (size + page - 1) / page * page;
  Locked locked(device().mutex);
  if (kind == Memory::device) {
    device().allocations_asked_for++;
    if (is_refused() || device().used + rounded > device().total) {
      say("refused", std::to_string(size));
      return failed(cudaErrorMemoryAllocation);
    }
    device().used += rounded;
    say("allocate", std::to_string(size));
  }
  *address = mmap(nullptr, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  device().blocks[reinterpret_cast<uintptr_t>(*address)] = {rounded, kind};
  return cudaSuccess;
}

static cudaError_t give_back(void* address) {
  if (!address) return cudaSuccess;
  Locked locked(device().mutex);
  const auto found = device().blocks.find(reinterpret_cast<uintptr_t>(address));
  if (found == device().blocks.end()) return failed(cudaErrorInvalidValue);
  if (found->second.kind == Memory::device) {
    device().used -= found->second.size;
    say("free", std::to_string(found->second.size));
  }
  munmap(address, found->second.size);
  device().blocks.erase(found);
  return cudaSuccess;
}

static std::string copy_between(const void* to, const void* from, size_t size) {
  static const char* names[] = {"pageable", "device", "pinned"};
  return std::string(names[int(kind_of(from))]) + ">" + names[int(kind_of(to))] + "\t" + std::to_string(size);
}

static cudaError_t launch(const void* function, dim3 grid, dim3 block, cudaStream_t stream) {
  Locked locked(device().mutex);
  if (!grid.x || !grid.y || !grid.z || !block.x) return failed(cudaErrorInvalidConfiguration);
  const auto found = device().kernels.find(function);
  return work("kernel", found == device().kernels.end() ? "?" : found->second, stream_of(stream));
}

}  // namespace fake

using namespace fake;

// --- what the tests ask for -------------------------------------------------------------------------------------------------

EXPORTED void fake_log_start() {
  Locked locked(device().mutex);
  device().log.clear();
  device().logging = true;
}

EXPORTED void fake_log_end(const char* path) {
  Locked locked(device().mutex);
  device().logging = false;
  FILE* file = fopen(path, "w");
  for (const auto& line : device().log) fprintf(file, "%s\n", line.c_str());
  fclose(file);
}

EXPORTED void fake_answer(int answer) { device().answer = answer; }

EXPORTED void fake_set_total(size_t bytes) { device().total = bytes; }

EXPORTED size_t fake_used() { return device().used; }

EXPORTED long fake_allocations() { return device().allocations_asked_for; }

// Refuses an allocation, 1 being the next, and what PyTorch attempts after it; 0 refuses none.
EXPORTED void fake_refuse(long number) { device().allocation_to_refuse = number > 0 ? number + 2 : 0; }

// Where libcuda's stand-in tells of Triton's kernels.
EXPORTED int fake_driver_launch(const char* name, void* stream) {
  return work("kernel", std::string("triton ") + name, stream_of(static_cast<cudaStream_t>(stream)));
}

// --- kernels ----------------------------------------------------------------------------------------------------------------

EXPORTED void** __cudaRegisterFatBinary(void*) {
  static void* handle[8];
  return handle;
}

EXPORTED void __cudaRegisterFatBinaryEnd(void**) {}

EXPORTED void __cudaUnregisterFatBinary(void**) {}

EXPORTED void __cudaRegisterFunction(void**, const char* host, char*, const char* name, int, void*, void*, void*, void*, int*) {
  Locked locked(device().mutex);
  device().kernels[host] = name ? name : "?";
}

EXPORTED void __cudaRegisterVar(void**, char*, char*, const char*, int, size_t, int, int) {}

struct Configuration {
  dim3 grid, block;
  size_t shared;
  cudaStream_t stream;
};
static thread_local Configuration pushed;  // by what a `kernel<<<...>>>` compiles to, for the call that follows

EXPORTED unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, cudaStream_t stream) {
  pushed = {grid, block, shared, stream};
  return 0;
}

EXPORTED cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared, void* stream) {
  *grid = pushed.grid;
  *block = pushed.block;
  *shared = pushed.shared;
  *static_cast<cudaStream_t*>(stream) = pushed.stream;
  return cudaSuccess;
}

EXPORTED cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* function) {
  *kernel = reinterpret_cast<cudaKernel_t>(const_cast<void*>(function));
  return cudaSuccess;
}

EXPORTED cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void**, size_t, cudaStream_t stream) {
  return launch(kernel, grid, block, stream);
}

EXPORTED cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void**, size_t, cudaStream_t stream) {
  return launch(function, grid, block, stream);
}

EXPORTED cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* function, void**) {
  return launch(function, config->gridDim, config->blockDim, config->stream);
}

EXPORTED cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void*) {
  *attributes = {};
  attributes->maxThreadsPerBlock = 1024;
  attributes->numRegs = 32;
  attributes->ptxVersion = attributes->binaryVersion = 90;
  return cudaSuccess;
}

EXPORTED cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute, int) { return cudaSuccess; }

EXPORTED cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void*, int threads, size_t) {
  *blocks = threads > 0 ? 2048 / threads : 1;
  return cudaSuccess;
}

EXPORTED cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void*, int threads, size_t, unsigned) {
  *blocks = threads > 0 ? 2048 / threads : 1;
  return cudaSuccess;
}

EXPORTED cudaError_t cudaGetSymbolAddress(void** address, const void*) {
  static void* zeros = calloc(1, 1 << 20);
  *address = zeros;
  return cudaSuccess;
}

EXPORTED cudaError_t cudaMemcpyToSymbol(const void*, const void*, size_t, size_t, cudaMemcpyKind) { return cudaSuccess; }

// --- the device -------------------------------------------------------------------------------------------------------------

EXPORTED cudaError_t cudaGetDeviceCount(int* count) {
  trace("cudaGetDeviceCount");
  const char* shown = getenv("CUDA_VISIBLE_DEVICES");
  *count = shown && !*shown ? 0 : 1;
  return *count ? cudaSuccess : failed(cudaErrorNoDevice);
}

EXPORTED cudaError_t cudaGetDevice(int* number) {
  *number = 0;
  return cudaSuccess;
}

EXPORTED cudaError_t cudaSetDevice(int number) { return number == 0 ? cudaSuccess : failed(cudaErrorInvalidDevice); }

EXPORTED cudaError_t cudaDriverGetVersion(int* version) {
  *version = 13020;
  return cudaSuccess;
}

EXPORTED cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}

EXPORTED cudaError_t cudaGetLastError() {
  const cudaError_t error = last_error;
  last_error = cudaSuccess;
  return error;
}

EXPORTED cudaError_t cudaPeekAtLastError() { return last_error; }

EXPORTED cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  cudaDeviceProp h100 = {};
  strcpy(h100.name, "fake H100");
  h100.major = 9;
  h100.totalGlobalMem = device().total;
  h100.totalConstMem = 65536;
  h100.sharedMemPerBlock = 49152;
  h100.sharedMemPerBlockOptin = 232448;
  h100.sharedMemPerMultiprocessor = 233472;
  h100.regsPerBlock = h100.regsPerMultiprocessor = 65536;
  h100.warpSize = 32;
  h100.multiProcessorCount = 132;
  h100.maxBlocksPerMultiProcessor = 32;
  h100.maxThreadsPerMultiProcessor = 2048;
  h100.maxThreadsPerBlock = h100.maxThreadsDim[0] = h100.maxThreadsDim[1] = 1024;
  h100.maxThreadsDim[2] = 64;
  h100.maxGridSize[0] = 2147483647;
  h100.maxGridSize[1] = h100.maxGridSize[2] = 65535;
  h100.l2CacheSize = 52428800;
  h100.textureAlignment = 512;
  h100.memoryBusWidth = 5120;
  h100.unifiedAddressing = h100.concurrentKernels = h100.cooperativeLaunch = h100.memoryPoolsSupported = h100.clusterLaunch = 1;
  *properties = h100;
  return cudaSuccess;
}

EXPORTED cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  static const std::map<int, int> h100 = {
      {cudaDevAttrComputeCapabilityMajor, 9},
      {cudaDevAttrComputeCapabilityMinor, 0},
      {cudaDevAttrMultiProcessorCount, 132},
      {cudaDevAttrWarpSize, 32},
      {cudaDevAttrMaxThreadsPerBlock, 1024},
      {cudaDevAttrMaxThreadsPerMultiProcessor, 2048},
      {cudaDevAttrMaxBlocksPerMultiprocessor, 32},
      {cudaDevAttrMaxSharedMemoryPerBlock, 49152},
      {cudaDevAttrMaxSharedMemoryPerBlockOptin, 232448},
      {cudaDevAttrMaxSharedMemoryPerMultiprocessor, 233472},
      {cudaDevAttrMaxRegistersPerBlock, 65536},
      {cudaDevAttrL2CacheSize, 52428800},
      {cudaDevAttrMaxGridDimX, 2147483647},
      {cudaDevAttrMaxGridDimY, 65535},
      {cudaDevAttrMaxGridDimZ, 65535},
  };
  const auto found = h100.find(attribute);
  *value = found == h100.end() ? 1 : found->second;  // what is left are abilities: it has them
  return cudaSuccess;
}

EXPORTED cudaError_t cudaDeviceGetPCIBusId(char* name, int size, int) {
  snprintf(name, size, "0000:00:00.0");
  return cudaSuccess;
}

EXPORTED cudaError_t cudaDeviceCanAccessPeer(int* can, int, int) {
  *can = 0;
  return cudaSuccess;
}

EXPORTED cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0;
  *greatest = -5;
  return cudaSuccess;
}

EXPORTED cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int) {
  static char place;
  *pool = reinterpret_cast<cudaMemPool_t>(&place);
  return cudaSuccess;
}

static int succeed(...) { return 0; }

static int context_is_active(int, unsigned* flags, int* active) {
  *flags = 0;
  *active = 1;
  return 0;
}

EXPORTED cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned, unsigned long long,
                                                      cudaDriverEntryPointQueryResult* result) {
  const bool asks_for_context = strstr(name, "PrimaryCtxGetState");
  *function = asks_for_context ? reinterpret_cast<void*>(context_is_active) : reinterpret_cast<void*>(succeed);
  if (result) *result = cudaDriverEntryPointSuccess;
  return cudaSuccess;
}

EXPORTED cudaError_t cudaProfilerStart() { return cudaSuccess; }

EXPORTED cudaError_t cudaProfilerStop() { return cudaSuccess; }

// --- memory -----------------------------------------------------------------------------------------------------------------

EXPORTED cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  Locked locked(device().mutex);
  *total = device().total;
  *free = device().total > device().used ? device().total - device().used : 0;
  return cudaSuccess;
}

EXPORTED cudaError_t cudaMalloc(void** address, size_t size) {
  trace("cudaMalloc");
  if (auto error = refuse_while_capturing("cudaMalloc")) return error;
  return take(address, size, Memory::device);
}

EXPORTED cudaError_t cudaFree(void* address) {
  if (address)
    if (auto error = refuse_while_capturing("cudaFree")) return error;
  return give_back(address);
}

EXPORTED cudaError_t cudaHostAlloc(void** address, size_t size, unsigned) {
  if (auto error = refuse_while_capturing("cudaHostAlloc")) return error;
  return take(address, size, Memory::pinned);
}

EXPORTED cudaError_t cudaMallocHost(void** address, size_t size) { return cudaHostAlloc(address, size, 0); }

EXPORTED cudaError_t cudaFreeHost(void* address) { return give_back(address); }

EXPORTED cudaError_t cudaHostRegister(void*, size_t, unsigned) { return cudaSuccess; }

EXPORTED cudaError_t cudaHostUnregister(void*) { return cudaSuccess; }

EXPORTED cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* address) {
  static const cudaMemoryType types[] = {cudaMemoryTypeUnregistered, cudaMemoryTypeDevice, cudaMemoryTypeHost};
  *attributes = {};
  attributes->type = types[int(kind_of(address))];
  attributes->devicePointer = attributes->hostPointer = const_cast<void*>(address);
  return cudaSuccess;
}

EXPORTED cudaError_t cudaMemcpy(void* to, const void* from, size_t size, cudaMemcpyKind) {
  if (auto error = refuse_while_capturing("cudaMemcpy")) return error;
  Locked locked(device().mutex);
  say("wait", "copy " + copy_between(to, from, size));
  memmove(to, from, size);
  return cudaSuccess;
}

EXPORTED cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t size, cudaMemcpyKind, cudaStream_t handle) {
  Locked locked(device().mutex);
  Stream* stream = stream_of(handle);
  const Memory source = kind_of(from), target = kind_of(to);
  if (stream->capture && (source == Memory::pageable || target == Memory::pageable))
    return forbidden("cudaMemcpyAsync of pageable memory", stream->capture);
  if (auto error = work("copy", copy_between(to, from, size), stream)) return error;
  const bool stays_there = source == Memory::device && target == Memory::device;
  if (!stream->capture && !(stays_there && size > LARGE)) memmove(to, from, size);
  const bool is_a_question = size == 1 && source == Memory::device && target != Memory::device;
  if (is_a_question) *static_cast<char*>(to) = device().answer;
  return cudaSuccess;
}

static cudaError_t fill(void* address, int value, size_t size, Stream* stream) {
  if (auto error = work("fill", std::to_string(size), stream)) return error;
  if (!stream->capture && size <= LARGE) memset(address, value, size);
  return cudaSuccess;
}

EXPORTED cudaError_t cudaMemset(void* address, int value, size_t size) { return fill(address, value, size, &device().default_stream); }

EXPORTED cudaError_t cudaMemsetAsync(void* address, int value, size_t size, cudaStream_t stream) {
  return fill(address, value, size, stream_of(stream));
}
