// Products with few tokens. The threads of a row share its columns: group g takes parts g,
// g + kGroups, …; their sums are added in the order of groups.
#include "weights/product.glsl"

shared float sums[kGroups * kPanels * kTokens * 32u];

void main() {
  const uint lane = gl_LocalInvocationID.x;
  const uint group = gl_LocalInvocationID.y;
  const uint firstRow = gl_WorkGroupID.x * kPanels * 32u + lane;
  partCount = parts;
#ifdef LEVELS
  prepareLevels();
#endif
  float totals[kPanels * kTokens];
  [[unroll]] for (uint i = 0u; i < kPanels * kTokens; ++i) totals[i] = 0.0;
  for (uint part = group; part < parts; part += kGroups) {
#ifdef SPREAD
    float mine[kTokens * 4u];
    [[unroll]] for (uint i = 0u; i < kTokens * 4u; ++i) {
      const uint token = min(firstToken + i / 4u, endToken - 1u);
      mine[i] = inputAt(token, part * 32u + i % 4u * 8u + gl_SubgroupInvocationID);
    }
#endif
    [[unroll]] for (uint p = 0u; p < kPanels; ++p) {
      setPanel(firstRow, p);
      float w[32];
      decodePart(part, w);
      [[unroll]] for (uint t = 0u; t < kTokens; ++t) {
#ifdef SPREAD
        [[unroll]] for (uint run = 0u; run < 4u; ++run) {
          ADD_RUN(totals[p * kTokens + t], w, run, mine[t * 4u + run])
        }
#else
        const uint token = min(firstToken + t, endToken - 1u);
        [[unroll]] for (uint i = 0u; i < 32u; i += 4u) {
          totals[p * kTokens + t] += dot(vec4(w[i], w[i + 1u], w[i + 2u], w[i + 3u]),
                                         inputsAt(token, part * 32u + i));
        }
#endif
      }
    }
  }
  if (kGroups > 1u) {
    [[unroll]] for (uint i = 0u; i < kPanels * kTokens; ++i) {
      sums[(group * kPanels * kTokens + i) * 32u + lane] = totals[i];
    }
    barrier();
    if (group != 0u) return;
    [[unroll]] for (uint i = 0u; i < kPanels * kTokens; ++i) {
      for (uint other = 1u; other < kGroups; ++other) {
        totals[i] += sums[(other * kPanels * kTokens + i) * 32u + lane];
      }
    }
  }
  [[unroll]] for (uint p = 0u; p < kPanels; ++p) {
    [[unroll]] for (uint t = 0u; t < kTokens; ++t) {
      put(firstToken + t, firstRow + p * 32u, totals[p * kTokens + t]);
    }
  }
}
