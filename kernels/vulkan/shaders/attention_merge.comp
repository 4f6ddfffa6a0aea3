#version 450
#extension GL_GOOGLE_include_directive : require
// The shares of attention that kSplit leaves → outputs: a workgroup for a tile's key head, a thread
// for each column of each query.
#include "common.glsl"

layout(local_size_x = 64) in;

layout(constant_id = 0) const uint kQueries = 4u;

layout(binding = 0) readonly restrict buffer Shares { float shares[]; };
layout(binding = 1) readonly restrict buffer Tiles { uvec4 tiles[]; };
layout(binding = 2) writeonly restrict buffer Output { float outputs[]; };

layout(push_constant) uniform Push {
  uint heads;
  uint keyHeads;
  uint valueWidth;
  uint splits;
  uint firstTile;
};

void main() {
  const uint keyHead = gl_WorkGroupID.x;
  const uvec4 tile = tiles[firstTile + gl_WorkGroupID.y];
  const uint group = heads / keyHeads;
  const uint count = min(kQueries, tile.y * group);
  const uint each = valueWidth + 2u;
  const uint from = (gl_WorkGroupID.y * keyHeads + keyHead) * splits * kQueries;
  for (uint i = gl_LocalInvocationID.x; i < count * valueWidth; i += 64u) {
    const uint q = i / valueWidth;
    const uint column = i % valueWidth;
    float largest = -1e30;
    for (uint s = 0u; s < splits; ++s) {
      largest = max(largest, shares[(from + s * kQueries + q) * each + valueWidth]);
    }
    float sum = 0.0;
    float total = 0.0;
    for (uint s = 0u; s < splits; ++s) {
      const uint at = (from + s * kQueries + q) * each;
      const float factor = exp(shares[at + valueWidth] - largest);
      sum += factor * shares[at + column];
      total += factor * shares[at + valueWidth + 1u];
    }
    const uint head = keyHead * group + q % group;
    outputs[((tile.x + q / group) * heads + head) * valueWidth + column] = sum / total;
  }
}
