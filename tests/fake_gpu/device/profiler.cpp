// CUPTI, which PyTorch's profiler asks what the device did: nothing.
#include "device.h"

#define SUCCEEDS(name) \
  EXPORTED int name(...) { return 0; }

static const int no_more_records = 12;  // CUPTI_ERROR_MAX_LIMIT_REACHED

EXPORTED int cuptiGetVersion(uint32_t* version) { return *version = 130000, 0; }

EXPORTED int cuptiGetResultString(int, const char** said) { return *said = "an error of the fake GPU", 0; }

EXPORTED int cuptiGetCallbackName(int, uint32_t, const char** name) { return *name = "?", 0; }

EXPORTED int cuptiActivityGetNextRecord(uint8_t*, size_t, void**) { return no_more_records; }

EXPORTED int cuptiActivityGetNumDroppedRecords(void*, uint32_t, size_t* count) { return *count = 0, 0; }

EXPORTED int cuptiActivityPopExternalCorrelationId(int, uint64_t* last) {
  if (last) *last = 0;
  return 0;
}

SUCCEEDS(cuptiActivityDisable)
SUCCEEDS(cuptiActivityEnable)
SUCCEEDS(cuptiActivityEnableCudaEventDeviceTimestamps)
SUCCEEDS(cuptiActivityEnableDriverApi)
SUCCEEDS(cuptiActivityEnableRuntimeApi)
SUCCEEDS(cuptiActivityFlushAll)
SUCCEEDS(cuptiActivityPushExternalCorrelationId)
SUCCEEDS(cuptiActivityRegisterCallbacks)
SUCCEEDS(cuptiActivityRegisterTimestampCallback)
SUCCEEDS(cuptiActivitySetAttribute)
SUCCEEDS(cuptiEnableCallback)
SUCCEEDS(cuptiEnableDomain)
SUCCEEDS(cuptiFinalize)
SUCCEEDS(cuptiSubscribe)
SUCCEEDS(cuptiUnsubscribe)
