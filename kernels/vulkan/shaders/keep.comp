#version 450
#extension GL_GOOGLE_include_directive : require
// Keys or values of new positions into a cache of halves, two to a word, or of floats.
#include "common.glsl"

layout(local_size_x = 64) in;

layout(constant_id = 0) const bool kHalves = true;

layout(binding = 0) readonly restrict buffer Input { float inputs[]; };
layout(binding = 1) readonly restrict buffer Positions { uint positions[]; };
layout(binding = 2) writeonly restrict buffer Cache { uint cache[]; };

layout(push_constant) uniform Push {
  uint width;  // of a position, even
  uint firstRow;
};

void main() {
  const uint pair = gl_GlobalInvocationID.x;
  const uint row = firstRow + gl_WorkGroupID.y;
  if (pair >= width / 2u) return;
  const uint from = row * width + 2u * pair;
  const vec2 two = vec2(inputs[from], inputs[from + 1u]);
  const uint to = positions[row] * (width / 2u) + pair;
  if (kHalves) {
    cache[to] = packHalf2x16(two);
  } else {
    cache[2u * to] = floatBitsToUint(two.x);
    cache[2u * to + 1u] = floatBitsToUint(two.y);
  }
}
