#version 450
#extension GL_GOOGLE_include_directive : require
// Rows of a matrix by index.
#include "common.glsl"

layout(local_size_x = 64) in;

layout(binding = 0) readonly restrict buffer Input { float inputs[]; };
layout(binding = 1) readonly restrict buffer Indices { uint indices[]; };
layout(binding = 2) writeonly restrict buffer Output { float outputs[]; };

layout(push_constant) uniform Push {
  uint columns;
};

void main() {
  const uint column = gl_GlobalInvocationID.x;
  const uint row = gl_WorkGroupID.y;
  if (column < columns) outputs[row * columns + column] = inputs[indices[row] * columns + column];
}
