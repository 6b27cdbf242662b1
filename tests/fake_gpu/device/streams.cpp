// Streams, events and captures, with what a capture forbids (CUDA's programming guide, "Prohibited and Unhandled Operations").
#include "device.h"

namespace fake {

static thread_local cudaStreamCaptureMode thread_mode = cudaStreamCaptureModeGlobal;

// The stream and the capture that it was recorded in, by their numbers: the capture itself may have ended.
struct Event {
  int stream = 0, capture = 0;
};

struct Graph {
  int nodes;
};

cudaError_t forbidden(const std::string& call, Capture* capture) {
  Locked locked(device().mutex);
  say("forbidden", call, capture->origin);
  capture->broken = true;
  return failed(cudaErrorStreamCaptureUnsupported);
}

cudaError_t refuse_while_capturing(const std::string& call) {
  Locked locked(device().mutex);
  if (thread_mode == cudaStreamCaptureModeRelaxed) return cudaSuccess;
  for (const auto& [number, capture] : device().captures)
    if (capture->mode == cudaStreamCaptureModeGlobal) return forbidden(call, capture);
  return cudaSuccess;
}

static Capture* capture_of(const Event* event) {
  const auto found = device().captures.find(event->capture);
  return found == device().captures.end() ? nullptr : found->second;
}

static cudaStreamCaptureStatus status_of(const Stream* stream) {
  if (!stream->capture) return cudaStreamCaptureStatusNone;
  return stream->capture->broken ? cudaStreamCaptureStatusInvalidated : cudaStreamCaptureStatusActive;
}

static cudaError_t wait_for_stream(const char* call, cudaStream_t handle) {
  Locked locked(device().mutex);
  if (Capture* capture = stream_of(handle)->capture) return forbidden(call, capture);
  return refuse_while_capturing(call);
}

static cudaError_t wait_for_event(const char* call, cudaEvent_t handle) {
  Locked locked(device().mutex);
  if (Capture* capture = capture_of(reinterpret_cast<Event*>(handle))) return forbidden(call, capture);
  return cudaSuccess;
}

}  // namespace fake

using namespace fake;

// --- streams ----------------------------------------------------------------------------------------------------------------

EXPORTED cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned, int) {
  Locked locked(device().mutex);
  *stream = reinterpret_cast<cudaStream_t>(new Stream{++device().streams_made});
  return cudaSuccess;
}

EXPORTED cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return cudaStreamCreateWithPriority(stream, flags, 0);
}

EXPORTED cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithPriority(stream, 0, 0); }

EXPORTED cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }

EXPORTED cudaError_t cudaStreamGetPriority(cudaStream_t, int* priority) {
  *priority = 0;
  return cudaSuccess;
}

EXPORTED cudaError_t cudaStreamQuery(cudaStream_t stream) { return wait_for_stream("cudaStreamQuery", stream); }

EXPORTED cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (auto error = wait_for_stream("cudaStreamSynchronize", stream)) return error;
  Locked locked(device().mutex);
  say("wait", "stream", stream_of(stream));
  return cudaSuccess;
}

EXPORTED cudaError_t cudaDeviceSynchronize() {
  Locked locked(device().mutex);
  if (!device().captures.empty()) return forbidden("cudaDeviceSynchronize", device().captures.begin()->second);
  say("wait", "device");
  return cudaSuccess;
}

EXPORTED cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned) {
  Locked locked(device().mutex);
  Stream* stream = stream_of(handle);
  Capture* capture = capture_of(reinterpret_cast<Event*>(event));
  say("after", std::to_string(reinterpret_cast<Event*>(event)->stream), stream);
  if (capture && !stream->capture) {  // it joins
    stream->capture = capture;
    capture->streams.insert(stream);
  }
  return cudaSuccess;
}

// --- events -----------------------------------------------------------------------------------------------------------------

EXPORTED cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = reinterpret_cast<cudaEvent_t>(new Event);
  return cudaSuccess;
}

EXPORTED cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, 0); }

EXPORTED cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete reinterpret_cast<Event*>(event);
  return cudaSuccess;
}

EXPORTED cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  Locked locked(device().mutex);
  const Capture* capture = stream_of(stream)->capture;
  *reinterpret_cast<Event*>(event) = {stream_of(stream)->number, capture ? capture->number : 0};
  return cudaSuccess;
}

EXPORTED cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned) { return cudaEventRecord(event, stream); }

EXPORTED cudaError_t cudaEventQuery(cudaEvent_t event) {
  if (auto error = wait_for_event("cudaEventQuery", event)) return error;
  return refuse_while_capturing("cudaEventQuery");
}

EXPORTED cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (auto error = wait_for_event("cudaEventSynchronize", event)) return error;
  Locked locked(device().mutex);
  say("wait", "event");
  return cudaSuccess;
}

EXPORTED cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t, cudaEvent_t) {
  *milliseconds = 1;
  return cudaSuccess;
}

// --- captures and graphs ----------------------------------------------------------------------------------------------------

EXPORTED cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  Locked locked(device().mutex);
  Stream* stream = stream_of(handle);
  if (stream == &device().default_stream) return failed(cudaErrorStreamCaptureUnsupported);
  const int number = ++device().captures_made;
  stream->capture = new Capture{number, stream, mode, {stream}};
  device().captures[number] = stream->capture;
  say("begin", "", stream);
  return cudaSuccess;
}

EXPORTED cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  Locked locked(device().mutex);
  Capture* capture = stream_of(handle)->capture;
  if (!capture) return failed(cudaErrorIllegalState);
  const int nodes = capture->nodes;
  const bool broken = capture->broken;
  say("end", std::to_string(nodes) + (broken ? " broken" : ""), capture->origin);
  for (Stream* stream : capture->streams) stream->capture = nullptr;
  device().captures.erase(capture->number);
  delete capture;
  *graph = broken ? nullptr : reinterpret_cast<cudaGraph_t>(new Graph{nodes});
  return broken ? failed(cudaErrorStreamCaptureInvalidated) : cudaSuccess;
}

EXPORTED cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  Locked locked(device().mutex);
  *status = status_of(stream_of(handle));
  return cudaSuccess;
}

EXPORTED cudaError_t cudaStreamGetCaptureInfo(cudaStream_t handle, cudaStreamCaptureStatus* status, unsigned long long* number,
                                              cudaGraph_t* graph, const cudaGraphNode_t** dependencies, const cudaGraphEdgeData**,
                                              size_t* count) {
  Locked locked(device().mutex);
  const Capture* capture = stream_of(handle)->capture;
  static Graph unfinished{0};
  *status = status_of(stream_of(handle));
  if (number) *number = capture ? capture->number : 0;
  if (graph) *graph = capture ? reinterpret_cast<cudaGraph_t>(&unfinished) : nullptr;
  if (dependencies) *dependencies = nullptr;
  if (count) *count = 0;
  return cudaSuccess;
}

EXPORTED cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) { return std::swap(*mode, thread_mode), cudaSuccess; }

EXPORTED cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t*, size_t* count) {
  *count = reinterpret_cast<Graph*>(graph)->nodes;
  return cudaSuccess;
}

EXPORTED cudaError_t cudaGraphInstantiate(cudaGraphExec_t* made, cudaGraph_t graph, unsigned long long) {
  *made = reinterpret_cast<cudaGraphExec_t>(new Graph{*reinterpret_cast<Graph*>(graph)});
  return cudaSuccess;
}

EXPORTED cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* made, cudaGraph_t graph, unsigned long long flags) {
  return cudaGraphInstantiate(made, graph, flags);
}

EXPORTED cudaError_t cudaGraphDestroy(cudaGraph_t) { return cudaSuccess; }

// One that is collected as garbage while another is captured spoils that one.
EXPORTED cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
  if (auto error = refuse_while_capturing("cudaGraphExecDestroy")) return error;
  delete reinterpret_cast<Graph*>(graph);
  return cudaSuccess;
}

EXPORTED cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
  return work("graph", std::to_string(reinterpret_cast<Graph*>(graph)->nodes), stream_of(stream));
}

EXPORTED cudaError_t cudaUserObjectCreate(cudaUserObject_t* object, void*, cudaHostFn_t, unsigned, unsigned) {
  static char place;
  *object = reinterpret_cast<cudaUserObject_t>(&place);
  return cudaSuccess;
}

EXPORTED cudaError_t cudaGraphRetainUserObject(cudaGraph_t, cudaUserObject_t, unsigned, unsigned) { return cudaSuccess; }
