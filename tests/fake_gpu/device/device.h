// The device that is not there, as the parts of its runtime share it: streams, captures, and the log of what it was asked for.
#pragma once
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#define EXPORTED extern "C" __attribute__((visibility("default")))

namespace fake {

struct Stream;

// What is recorded between cudaStreamBeginCapture and its end, on the stream where it began and on those that joined it.
struct Capture {
  int number;
  Stream* origin;
  cudaStreamCaptureMode mode;
  std::set<Stream*> streams;
  int nodes = 0;
  bool broken = false;  // by a call that a capture forbids
};

struct Stream {
  int number;  // 0 is the default stream
  Capture* capture = nullptr;
};

enum class Memory { pageable, device, pinned };

struct Block {
  size_t size;
  Memory kind;
};

// All of it. One is made at the first use and never destroyed: other libraries' constructors and destructors call us.
struct Device {
  std::recursive_mutex mutex;
  Stream default_stream{0};
  int streams_made = 0, captures_made = 0;
  std::map<int, Capture*> captures;  // those under way
  std::unordered_map<const void*, std::string> kernels;  // names, by their address on the host
  std::map<uintptr_t, Block> blocks;  // memory that was handed out, by its first address
  size_t total = size_t(80) << 30, used = 0;
  long allocation_to_refuse = 0;  // counted down by each: the last three of it are refused
  long allocations_asked_for = 0;
  bool answer = true;  // of the device to a question: its kernels computed nothing
  bool logging = false;
  std::vector<std::string> log;
};

Device& device();

using Locked = std::lock_guard<std::recursive_mutex>;

Stream* stream_of(cudaStream_t handle);

// The log's line: the stream's number (-1 for none), its capture's (0 for none), a kind and what it was, with tabs between.
void say(const std::string& kind, const std::string& what, const Stream* stream = nullptr);

// Work for the device on `stream`: a node of the capture that the stream is in. Fails where that capture is broken.
cudaError_t work(const std::string& kind, const std::string& what, Stream* stream);

// The runtime remembers its last error, as CUDA's does, and hands it on.
cudaError_t failed(cudaError_t error);

// A call that no capture survives: says so, and breaks it.
cudaError_t forbidden(const std::string& call, Capture* capture);

// Fails where a capture is under way that forbids what may wait for the device, on any stream (the mode "global").
cudaError_t refuse_while_capturing(const std::string& call);

Memory kind_of(const void* address);

// A line on stderr, if FAKE_GPU_TRACE is set: which process touched the GPU, and which GPU it was shown.
void trace(const char* call);

}  // namespace fake
