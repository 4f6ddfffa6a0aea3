#version 450
#extension GL_GOOGLE_include_directive : require
// KL(p‖q) of each row in nats, p the softmax of a reference's logits and q that of these: a
// workgroup for each row. Σ p·(eᵟ − 1 − δ) with δ = log q − log p, which is exact for small
// differences since no term is negative.
#include "common.glsl"

layout(constant_id = 0) const uint kThreads = 64u;
layout(local_size_x_id = 0) in;

layout(binding = 0) readonly restrict buffer Logits { float logits[]; };
layout(binding = 1) readonly restrict buffer Reference { float reference[]; };
// largest logit of a reference row, and the log of the sum of e to the distance from it
layout(binding = 2) readonly restrict buffer Rows { vec2 rows[]; };
layout(binding = 3) writeonly restrict buffer Output { float outputs[]; };

layout(push_constant) uniform Push {
  uint columns;
  uint firstRow;        // of these logits
  uint firstReference;  // the row that it is compared with
};

shared float parts[kThreads];

float sumOfParts(uint thread, float part) {
  parts[thread] = part;
  for (uint other = kThreads / 2u; other > 0u; other /= 2u) {
    barrier();
    if (thread < other) parts[thread] += parts[thread + other];
  }
  barrier();
  const float sum = parts[0];
  barrier();
  return sum;
}

float largestOfParts(uint thread, float part) {
  parts[thread] = part;
  for (uint other = kThreads / 2u; other > 0u; other /= 2u) {
    barrier();
    if (thread < other) parts[thread] = max(parts[thread], parts[thread + other]);
  }
  barrier();
  const float most = parts[0];
  barrier();
  return most;
}

void main() {
  const uint thread = gl_LocalInvocationID.x;
  const uint row = firstRow + gl_WorkGroupID.x;
  const uint referenceRow = firstReference + gl_WorkGroupID.x;
  const uint start = row * columns;
  const uint other = referenceRow * columns;
  float most = logits[start];
  for (uint i = thread; i < columns; i += kThreads) most = max(most, logits[start + i]);
  const float largest = largestOfParts(thread, most);
  float sum = 0.0;
  for (uint i = thread; i < columns; i += kThreads) sum += exp(logits[start + i] - largest);
  const float logSum = log(sumOfParts(thread, sum));
  const vec2 theirs = rows[referenceRow];
  float divergence = 0.0;
  for (uint i = thread; i < columns; i += kThreads) {
    const float logP = reference[other + i] - theirs.x - theirs.y;
    const float logQ = logits[start + i] - largest - logSum;
    const float p = exp(logP);
    const float d = logQ - logP;
    // eᵟ − 1 − δ by its series where the difference would cancel.
    const float series =
        0.5 * d * d * (1.0 + d / 3.0 * (1.0 + d / 4.0 * (1.0 + d / 5.0 * (1.0 + d / 6.0))));
    divergence += abs(d) < 0.25 ? p * series : exp(logQ) - p - p * d;
  }
  divergence = sumOfParts(thread, divergence);
  if (thread == 0u) outputs[row] = divergence;
}
