#version 450
#extension GL_GOOGLE_include_directive : require
// Rotary position embedding (arXiv 2104.09864): pairs of each head are turned by an angle of their
// own times the position; values from 2·pairs on stay. Input and output may be one.
#include "common.glsl"

layout(local_size_x = 64) in;

layout(constant_id = 0) const bool kAdjacent = false;  // pairs (2i, 2i + 1), else (i, i + pairs)

layout(binding = 0) readonly buffer Input { float inputs[]; };
layout(binding = 1) readonly restrict buffer Table { float table[]; };  // position: cosines, sines
layout(binding = 2) writeonly buffer Output { float outputs[]; };
layout(binding = 3) readonly restrict buffer Positions { uint positions[]; };

layout(push_constant) uniform Push {
  uint heads;
  uint headWidth;
  uint pairs;
};

void main() {
  const uint each = headWidth - pairs;  // threads of a head: its pairs, and the values that stay
  const uint index = gl_GlobalInvocationID.x;
  const uint row = gl_WorkGroupID.y;
  if (index >= heads * each) return;
  const uint start = (row * heads + index / each) * headWidth;
  const uint i = index % each;
  if (i >= pairs) {
    outputs[start + pairs + i] = inputs[start + pairs + i];
    return;
  }
  const uint left = start + (kAdjacent ? 2u * i : i);
  const uint right = left + (kAdjacent ? 1u : pairs);
  const uint angle = positions[row] * 2u * pairs + i;
  const float cosine = table[angle];
  const float sine = table[angle + pairs];
  const float x = inputs[left];
  const float y = inputs[right];
  outputs[left] = x * cosine - y * sine;
  outputs[right] = x * sine + y * cosine;
}
