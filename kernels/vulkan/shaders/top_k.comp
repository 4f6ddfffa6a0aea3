#version 450
#extension GL_GOOGLE_include_directive : require
// The kCount largest of each run of kRun values, largest first and the lower id of equals first: a
// workgroup for each run. Over what runs have kept, runs again leave the largest of all. Of values
// also what a softmax divides by: the largest, and the sum of e to the distance from it.
#include "common.glsl"

layout(constant_id = 0) const uint kThreads = 64u;
layout(constant_id = 1) const uint kCount = 64u;
layout(constant_id = 2) const bool kFirst = true;  // values are logits, and an id is a place
layout(constant_id = 3) const uint kEach = 32u;    // values of a thread: kRun / kThreads
layout(local_size_x_id = 0) in;

layout(binding = 0) readonly restrict buffer Values { float values[]; };
layout(binding = 1) readonly restrict buffer Ids { uint ids[]; };
layout(binding = 2) writeonly restrict buffer Kept { float kept[]; };     // runs × kCount
layout(binding = 3) writeonly restrict buffer KeptIds { uint keptIds[]; };
layout(binding = 4) writeonly restrict buffer Sums { vec2 sums[]; };      // of each run

layout(push_constant) uniform Push {
  uint count;
};

// −∞: also what is no number.
#define NONE uintBitsToFloat(0xff800000u)

shared float value[kThreads * kEach];
shared float best[kThreads];
shared uint bestPlace[kThreads];

float valueAt(uint index) {
  const float read = values[index];
  return (floatBitsToUint(read) & 0x7fffffffu) > 0x7f800000u ? NONE : read;
}

// The largest of this thread's values; of equals the first, since places ascend with ids.
void findBest(uint thread) {
  float most = NONE;
  uint place = thread;
  for (uint i = 0u; i < kEach; ++i) {
    const float each = value[i * kThreads + thread];
    if (each > most) {
      most = each;
      place = i * kThreads + thread;
    }
  }
  best[thread] = most;
  bestPlace[thread] = place;
}

void main() {
  const uint thread = gl_LocalInvocationID.x;
  const uint run = gl_WorkGroupID.x;
  const uint first = run * kThreads * kEach;
  for (uint i = thread; i < kThreads * kEach; i += kThreads) {
    value[i] = first + i < count ? valueAt(first + i) : NONE;
  }
  findBest(thread);
  float largest = NONE;
  for (uint k = 0u; k < kCount; ++k) {
    for (uint other = kThreads / 2u; other > 0u; other /= 2u) {
      barrier();
      if (thread < other) {
        const bool later = best[thread] == best[thread + other] &&
                           bestPlace[thread + other] < bestPlace[thread];
        if (best[thread + other] > best[thread] || later) {
          best[thread] = best[thread + other];
          bestPlace[thread] = bestPlace[thread + other];
        }
      }
    }
    barrier();
    const uint place = bestPlace[0];
    if (k == 0u) largest = best[0];
    if (thread == 0u) {
      const uint to = run * kCount + k;
      kept[to] = best[0];
      keptIds[to] = kFirst ? first + place : ids[min(first + place, count - 1u)];
    }
    barrier();
    if (k == 0u && kFirst) {
      float sum = 0.0;
      if (largest > NONE) {
        for (uint i = thread; i < kThreads * kEach; i += kThreads) {
          if (value[i] > NONE) sum += exp(value[i] - largest);
        }
      }
      best[thread] = sum;
      for (uint other = kThreads / 2u; other > 0u; other /= 2u) {
        barrier();
        if (thread < other) best[thread] += best[thread + other];
      }
      barrier();
      if (thread == 0u) sums[run] = vec2(largest, best[0]);
      barrier();
    }
    if (place % kThreads == thread) value[place] = NONE;
    findBest(thread);
  }
}
