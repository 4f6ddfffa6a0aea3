#version 450
#extension GL_GOOGLE_include_directive : require
// Activations into the basis of the TQ codecs, 32 by 32: a thread each.
#include "common.glsl"
#include "rotation.glsl"

layout(local_size_x = 32) in;

layout(binding = 0) readonly restrict buffer Input { float inputs[]; };
layout(binding = 2) writeonly restrict buffer Output { float outputs[]; };

layout(push_constant) uniform Push {
  uint count;  // of runs of 32
};

void main() {
  const uint index = (gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x) * 32u +
                     gl_LocalInvocationID.x;
  if (index >= count) return;
  float v[32];
  [[unroll]] for (uint i = 0u; i < 32u; ++i) v[i] = inputs[index * 32u + i];
  rotate(v);
  [[unroll]] for (uint i = 0u; i < 32u; ++i) outputs[index * 32u + i] = v[i];
}
