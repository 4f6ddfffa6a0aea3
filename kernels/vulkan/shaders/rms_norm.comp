#version 450
#extension GL_GOOGLE_include_directive : require
// outputs = inputs · weight / √(mean inputs² + epsilon), over each `width` values.
#include "common.glsl"

layout(constant_id = 0) const uint kThreads = 64u;
layout(local_size_x_id = 0) in;

layout(binding = 0) readonly buffer Input { float inputs[]; };
layout(binding = 1) readonly restrict buffer Weight { float weights[]; };
layout(binding = 2) writeonly buffer Output { float outputs[]; };

layout(push_constant) uniform Push {
  uint width;
  uint count;  // of norms
  float epsilon;
};

shared float sums[kThreads];

void main() {
  const uint thread = gl_LocalInvocationID.x;
  const uint index = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
  if (index >= count) return;
  const uint start = index * width;
  float sum = 0.0;
  for (uint i = thread; i < width; i += kThreads) sum += inputs[start + i] * inputs[start + i];
  sums[thread] = sum;
  for (uint other = kThreads / 2u; other > 0u; other /= 2u) {
    barrier();
    if (thread < other) sums[thread] += sums[thread + other];
  }
  barrier();
  const float factor = 1.0 / sqrt(sums[0] / float(width) + epsilon);
  for (uint i = thread; i < width; i += kThreads) {
    outputs[start + i] = inputs[start + i] * factor * weights[i];
  }
}
