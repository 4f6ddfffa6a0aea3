// Rows of weights by index, as floats.
layout(local_size_x = 32) in;

layout(binding = 1) readonly restrict buffer Indices { uint indices[]; };
layout(binding = 2) writeonly restrict buffer Output { float outputs[]; };

layout(push_constant) uniform Push {
  uint columns;
  uint parts;
  uint rowWords;
  uint firstRow;  // the buffer holds rows [firstRow, firstRow + rows)
  uint rows;
};

#ifdef ROTATED
#include "rotation.glsl"
#endif

void main() {
  const uint part = gl_GlobalInvocationID.x;
  const uint token = gl_WorkGroupID.y;
  const uint row = indices[token] - firstRow;
  if (part >= parts || row >= rows) return;
  setRow(row, rowWords);
  partCount = parts;
  float w[32];
  decodePart(part, w);
#ifdef ROTATED
  unrotate(w);
#endif
  const uint start = token * columns + part * 32u;
  [[unroll]] for (uint i = 0u; i < 32u; ++i) {
    if (part * 32u + i < columns) outputs[start + i] = w[i];
  }
}
