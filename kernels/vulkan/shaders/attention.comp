#version 450
#extension GL_GOOGLE_include_directive : require
// Causal attention of the query heads that share one key-value head, over all positions of their
// sequence, with the softmax gathered on the way (arXiv 2205.14135): a workgroup takes up to
// kQueries queries (heads × tokens) and passes kThreads positions at a time, a thread for each
// position's scores and then for each column of the values. Few queries over many positions are
// split (kSplit): workgroups take a share of the positions each, and leave for attention_merge what
// it sums them up from.
#include "cache.glsl"

layout(constant_id = 0) const uint kThreads = 64u;
layout(constant_id = 1) const uint kQueries = 4u;
layout(constant_id = 2) const uint kFormat = kFloats;  // of keys and values
layout(constant_id = 3) const uint kHeadWidth = 64u;
layout(constant_id = 4) const uint kColumns = 1u;  // ⌈value width / kThreads⌉
layout(constant_id = 5) const bool kSplit = false;
layout(local_size_x_id = 0) in;

layout(binding = 0) readonly restrict buffer Queries { float queries[]; };
layout(binding = 1) readonly restrict buffer Keys { uint keys[]; };
layout(binding = 2) readonly restrict buffer Values { uint values[]; };
// rows × heads · valueWidth; or for each tile, key head, share and query: the values' sums, the
// largest score and the sum of e to the distances from it
layout(binding = 3) writeonly restrict buffer Output { float outputs[]; };
// first row, rows, position of the first row, row of the sequence's position 0 among the keys
layout(binding = 4) readonly restrict buffer Tiles { uvec4 tiles[]; };

layout(push_constant) uniform Push {
  uint heads;
  uint keyHeads;
  uint valueWidth;
  float scale;
  uint firstTile;
};

shared float query[kQueries * kHeadWidth];
shared float weight[kQueries * kThreads];
shared float largest[kQueries];
shared float rescale[kQueries];
shared float total[kQueries];

float valueAt(uint index) {
  const uint word = cacheWord(kFormat, index);
  if (kFormat == kFloats) return uintBitsToFloat(values[word]);
  vec2 pair;
  if (kFormat == kHalves) {
    pair = unpackHalf2x16(values[word]);
  } else {
    const uint place = index & 31u;
    pair = bytesOf(values[word + 1u + place / 4u], place >> 1 & 1u, uintBitsToFloat(values[word]));
  }
  return (index & 1u) == 0u ? pair.x : pair.y;
}

vec2 keysAt(uint index) {  // even
  const uint word = cacheWord(kFormat, index);
  if (kFormat == kFloats) return uintBitsToFloat(uvec2(keys[word], keys[word + 1u]));
  if (kFormat == kHalves) return unpackHalf2x16(keys[word]);
  const uint place = index & 31u;
  return bytesOf(keys[word + 1u + place / 4u], place >> 1 & 1u, uintBitsToFloat(keys[word]));
}

void main() {
  const uint thread = gl_LocalInvocationID.x;
  const uint keyHead = gl_WorkGroupID.x;
  const uvec4 tile = tiles[firstTile + gl_WorkGroupID.y];
  const uint group = heads / keyHeads;
  const uint count = min(kQueries, tile.y * group);  // query q: row q / group, head q mod group
  for (uint i = thread; i < kQueries * kHeadWidth; i += kThreads) {
    const uint q = min(i / kHeadWidth, count - 1u);
    const uint head = keyHead * group + q % group;
    query[i] = queries[((tile.x + q / group) * heads + head) * kHeadWidth + i % kHeadWidth] * scale;
  }
  if (thread < kQueries) {
    largest[thread] = -1e30;
    total[thread] = 0.0;
  }
  float sums[kQueries * kColumns];
  [[unroll]] for (uint i = 0u; i < kQueries * kColumns; ++i) sums[i] = 0.0;
  const uint all = tile.z + (count - 1u) / group + 1u;
  const uint share = kSplit ? (all + gl_NumWorkGroups.z - 1u) / gl_NumWorkGroups.z : all;
  const uint begin = gl_WorkGroupID.z * share;
  const uint end = min(all, begin + share);
  for (uint first = begin; first < end; first += kThreads) {
    barrier();
    const uint position = first + thread;
    float scores[kQueries];
    [[unroll]] for (uint q = 0u; q < kQueries; ++q) scores[q] = 0.0;
    if (position < end) {
      const uint start = ((tile.w + position) * keyHeads + keyHead) * kHeadWidth;
      for (uint i = 0u; i < kHeadWidth; i += 2u) {
        const vec2 pair = keysAt(start + i);
        [[unroll]] for (uint q = 0u; q < kQueries; ++q) {
          scores[q] += query[q * kHeadWidth + i] * pair.x + query[q * kHeadWidth + i + 1u] * pair.y;
        }
      }
    }
    [[unroll]] for (uint q = 0u; q < kQueries; ++q) {
      const bool seen = position <= tile.z + q / group && position < end;
      weight[q * kThreads + thread] = seen ? scores[q] : -1e30;
    }
    barrier();
    if (thread < kQueries) {
      float most = largest[thread];
      for (uint i = 0u; i < kThreads; ++i) most = max(most, weight[thread * kThreads + i]);
      rescale[thread] = exp(largest[thread] - most);
      largest[thread] = most;
    }
    barrier();
    [[unroll]] for (uint q = 0u; q < kQueries; ++q) {
      const float score = weight[q * kThreads + thread];
      weight[q * kThreads + thread] = score > -1e29 ? exp(score - largest[q]) : 0.0;
    }
    barrier();
    if (thread < kQueries) {
      float sum = 0.0;
      for (uint i = 0u; i < kThreads; ++i) sum += weight[thread * kThreads + i];
      total[thread] = total[thread] * rescale[thread] + sum;
    }
    const uint here = min(kThreads, end - first);
    [[unroll]] for (uint c = 0u; c < kColumns; ++c) {
      const uint column = c * kThreads + thread;
      if (column >= valueWidth) continue;
      [[unroll]] for (uint q = 0u; q < kQueries; ++q) sums[q * kColumns + c] *= rescale[q];
      for (uint i = 0u; i < here; ++i) {
        const uint row = (tile.w + first + i) * keyHeads + keyHead;
        const float value = valueAt(row * valueWidth + column);
        [[unroll]] for (uint q = 0u; q < kQueries; ++q) {
          sums[q * kColumns + c] += weight[q * kThreads + i] * value;
        }
      }
    }
  }
  barrier();
  if (kSplit) {
    const uint tileAndHead = gl_WorkGroupID.y * keyHeads + keyHead;
    const uint to = (tileAndHead * gl_NumWorkGroups.z + gl_WorkGroupID.z) * kQueries;
    [[unroll]] for (uint c = 0u; c < kColumns; ++c) {
      const uint column = c * kThreads + thread;
      if (column >= valueWidth) continue;
      [[unroll]] for (uint q = 0u; q < kQueries; ++q) {
        outputs[(to + q) * (valueWidth + 2u) + column] = sums[q * kColumns + c];
      }
    }
    if (thread < kQueries) {
      outputs[(to + thread) * (valueWidth + 2u) + valueWidth] = largest[thread];
      outputs[(to + thread) * (valueWidth + 2u) + valueWidth + 1u] = total[thread];
    }
    return;
  }
  [[unroll]] for (uint c = 0u; c < kColumns; ++c) {
    const uint column = c * kThreads + thread;
    if (column >= valueWidth) continue;
    [[unroll]] for (uint q = 0u; q < kQueries; ++q) {
      if (q >= count) continue;
      const uint head = keyHead * group + q % group;
      const uint to = ((tile.x + q / group) * heads + head) * valueWidth + column;
      outputs[to] = sums[q * kColumns + c] / total[q];
    }
  }
}
