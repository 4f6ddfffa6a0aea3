// What products of weights with activations share: outputs[token][row] = Σ weight · input + bias.
// A lane takes whole rows. SPREAD: the values of an input lie spread over a subgroup of 8 lanes and
// are handed round, for devices on which loads are dear and lanes talk cheaply (software ones);
// else all lanes load the same values.
#ifdef SPREAD
#extension GL_KHR_shader_subgroup_ballot : require
#endif

layout(constant_id = 0) const uint kGroups = 1u;  // threads are 32 × kGroups
layout(constant_id = 1) const uint kTokens = 1u;  // of a workgroup
layout(constant_id = 2) const uint kPanels = 1u;  // rows of a lane, 32 apart
layout(constant_id = 3) const bool kHasBias = false;
layout(constant_id = 4) const bool kWhole = true;  // `columns` is a multiple of 32

layout(local_size_x = 32, local_size_y_id = 0) in;

layout(binding = 1) readonly restrict buffer Input { float inputs[]; };
layout(binding = 1) readonly restrict buffer Input4 { vec4 inputs4[]; };
layout(binding = 2) writeonly restrict buffer Output { float outputs[]; };
layout(binding = 3) readonly restrict buffer Bias { float biases[]; };

layout(push_constant) uniform Push {
  uint columns;
  uint parts;  // of 32 columns
  uint rowWords;
  uint rows;
  uint outputStride;  // floats from one token to the next
  uint firstOutput;   // the first row's place in a token's outputs
  uint firstToken;
  uint endToken;
};

float inputAt(uint token, uint column) {
  return kWhole || column < columns ? inputs[token * columns + column] : 0.0;
}

// Four neighbours from a column that is a multiple of 4.
vec4 inputsAt(uint token, uint column) {
  if (kWhole) return inputs4[(token * columns + column) >> 2];
  return vec4(inputAt(token, column), inputAt(token, column + 1u), inputAt(token, column + 2u),
              inputAt(token, column + 3u));
}

// Panels beyond the last are computed from the last, and not put.
void setPanel(uint firstRow, uint panel) {
  const uint last = (rows - 1u) / 32u * 32u + gl_LocalInvocationID.x;
  setRow(min(firstRow + panel * 32u, last), rowWords);
}

void put(uint token, uint row, float value) {
  if (row >= rows || token >= endToken) return;
  if (kHasBias) value += biases[firstOutput + row];
  outputs[token * outputStride + firstOutput + row] = value;
}

#ifdef SPREAD
// total += w · (the lanes' values, lane by lane), over columns 8·run … 8·run + 7.
#define ADD_RUN(total, w, run, mine)                      \
  total += w[8u * (run)] * subgroupBroadcast(mine, 0u);      \
  total += w[8u * (run) + 1u] * subgroupBroadcast(mine, 1u); \
  total += w[8u * (run) + 2u] * subgroupBroadcast(mine, 2u); \
  total += w[8u * (run) + 3u] * subgroupBroadcast(mine, 3u); \
  total += w[8u * (run) + 4u] * subgroupBroadcast(mine, 4u); \
  total += w[8u * (run) + 5u] * subgroupBroadcast(mine, 5u); \
  total += w[8u * (run) + 6u] * subgroupBroadcast(mine, 6u); \
  total += w[8u * (run) + 7u] * subgroupBroadcast(mine, 7u);
#endif
