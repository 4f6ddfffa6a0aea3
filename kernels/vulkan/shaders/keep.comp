#version 450
#extension GL_GOOGLE_include_directive : require
// Keys or values of new positions into a cache (cache.glsl): a thread for each run of 32.
#include "cache.glsl"

layout(local_size_x = 64) in;

layout(constant_id = 0) const uint kFormat = kHalves;

layout(binding = 0) readonly restrict buffer Input { float inputs[]; };
layout(binding = 1) readonly restrict buffer Positions { uint positions[]; };
layout(binding = 2) writeonly restrict buffer Cache { uint cache[]; };

layout(push_constant) uniform Push {
  uint width;  // of a position, even; of bytes a multiple of 32
  uint firstRow;
};

// A scale rounded to f16, then 32 signed bytes: the values of Q8_0.
void keepBytes(uint from, uint to) {
  float largest = 0.0;
  for (uint i = 0u; i < 32u; ++i) largest = max(largest, abs(inputs[from + i]));
  const float scale = min(largest / 127.0, 65504.0);
  const float inverse = scale > 0.0 ? 1.0 / scale : 0.0;  // not rounded: as the encoder's on the host
  cache[to] = floatBitsToUint(unpackHalf2x16(packHalf2x16(vec2(scale, 0.0))).x);
  for (uint word = 0u; word < 8u; ++word) {
    uint bytes = 0u;
    for (uint i = 0u; i < 4u; ++i) {
      const float code = clamp(round(inputs[from + 4u * word + i] * inverse), -127.0, 127.0);
      bytes |= (uint(int(code)) & 255u) << (8u * i);
    }
    cache[to + 1u + word] = bytes;
  }
}

void main() {
  const uint first = 32u * gl_GlobalInvocationID.x;
  const uint row = firstRow + gl_WorkGroupID.y;
  if (first >= width) return;
  const uint from = row * width + first;
  const uint to = cacheWord(kFormat, positions[row] * width + first);
  if (kFormat == kBytes) {
    keepBytes(from, to);
    return;
  }
  const uint count = min(32u, width - first);
  for (uint i = 0u; i < count; i += 2u) {
    const vec2 two = vec2(inputs[from + i], inputs[from + i + 1u]);
    if (kFormat == kHalves) {
      cache[to + i / 2u] = packHalf2x16(two);
    } else {
      cache[to + i] = floatBitsToUint(two.x);
      cache[to + i + 1u] = floatBitsToUint(two.y);
    }
  }
}
