// Products with many tokens: a workgroup computes kTokens tokens × 32·kPanels·kGroups rows; weights
// are decoded once for all its tokens.
#include "weights/product.glsl"

#ifndef SPREAD
shared vec4 tile[kTokens * 8u];
#endif

void main() {
  const uint lane = gl_LocalInvocationID.x;
  const uint group = gl_LocalInvocationID.y;
  const uint firstRow = (gl_WorkGroupID.x * kGroups + group) * kPanels * 32u + lane;
  const uint first = firstToken + gl_WorkGroupID.y * kTokens;
  partCount = parts;
#ifdef LEVELS
  prepareLevels();
#endif
  float totals[kPanels * kTokens];
  [[unroll]] for (uint i = 0u; i < kPanels * kTokens; ++i) totals[i] = 0.0;
  for (uint part = 0u; part < parts; ++part) {
#ifndef SPREAD
    barrier();
    for (uint i = gl_LocalInvocationIndex; i < kTokens * 8u; i += 32u * kGroups) {
      const uint token = min(first + i / 8u, endToken - 1u);
      tile[i] = inputsAt(token, part * 32u + (i & 7u) * 4u);
    }
    barrier();
#endif
    float w[kPanels][32];
    [[unroll]] for (uint p = 0u; p < kPanels; ++p) {
      setPanel(firstRow, p);
      decodePart(part, w[p]);
    }
    [[unroll]] for (uint t = 0u; t < kTokens; ++t) {
#ifdef SPREAD
      const uint token = min(first + t, endToken - 1u);
      [[unroll]] for (uint run = 0u; run < 4u; ++run) {
        const float mine = inputAt(token, part * 32u + run * 8u + gl_SubgroupInvocationID);
        [[unroll]] for (uint p = 0u; p < kPanels; ++p) {
          ADD_RUN(totals[p * kTokens + t], w[p], run, mine)
        }
      }
#else
      [[unroll]] for (uint i = 0u; i < 8u; ++i) {
        const vec4 v = tile[t * 8u + i];
        [[unroll]] for (uint p = 0u; p < kPanels; ++p) {
          totals[p * kTokens + t] +=
              dot(vec4(w[p][4u * i], w[p][4u * i + 1u], w[p][4u * i + 2u], w[p][4u * i + 3u]), v);
        }
      }
#endif
    }
  }
  [[unroll]] for (uint p = 0u; p < kPanels; ++p) {
    [[unroll]] for (uint t = 0u; t < kTokens; ++t) {
      put(first + t, firstRow + p * 32u, totals[p * kTokens + t]);
    }
  }
}
