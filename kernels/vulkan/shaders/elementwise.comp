#version 450
#extension GL_GOOGLE_include_directive : require
// Value by value; the output may be an input.
#include "common.glsl"

layout(local_size_x = 128) in;

// 0: silu(a)·b, 1: gelu(a)·b in its tanh form, 2: a + b, 3: factor·a
layout(constant_id = 0) const uint kKind = 0u;

layout(binding = 0) readonly buffer Left { float left[]; };
layout(binding = 1) readonly buffer Right { float right[]; };
layout(binding = 2) writeonly buffer Output { float outputs[]; };

layout(push_constant) uniform Push {
  uint count;
  float factor;
};

void main() {
  const uint i = (gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x) * 128u +
                 gl_LocalInvocationID.x;
  if (i >= count) return;
  const float a = left[i];
  if (kKind == 0u) {
    outputs[i] = a / (1.0 + exp(-a)) * right[i];
  } else if (kKind == 1u) {
    const float inner = 0.7978845608 * (a + 0.044715 * a * a * a);
    // tanh as a ratio that cannot overflow
    const float e = exp(-2.0 * abs(inner));
    outputs[i] = 0.5 * a * (1.0 + sign(inner) * (1.0 - e) / (1.0 + e)) * right[i];
  } else if (kKind == 2u) {
    outputs[i] = a + right[i];
  } else {
    outputs[i] = factor * a;
  }
}
