// Rows of floats → a codec's bytes in panels (rows.glsl): a lane for each row, a workgroup for a
// panel and a run of parts. The arithmetic is that of the codec's encoder on the host, operation by
// operation; where a device divides exactly (to half a unit in the last place), so are the bytes.
#include "common.glsl"

layout(local_size_x = 32) in;

layout(binding = 0) readonly restrict buffer Input { float inputs[]; };
layout(binding = 1) writeonly restrict buffer Panels { uint panels[]; };
layout(binding = 2) writeonly restrict buffer Damage { uint damage; };  // 1: a value is not finite

layout(push_constant) uniform Push {
  uint columns;
  uint parts;
  uint rowWords;
  uint rows;
  uint firstPanel;  // of the buffer
};

const float kHalfMax = 65504.0;

void putWord(uint index, uint word) {
  const uint panel = firstPanel + gl_WorkGroupID.x;
  panels[(panel * rowWords + index) * 32u + gl_LocalInvocationID.x] = word;
}

// Part `part` of this lane's row. What a workgroup has beyond the rows is the last row again.
void readPart(uint part, out float v[32]) {
  const uint row = min(gl_WorkGroupID.x * 32u + gl_LocalInvocationID.x, rows - 1u);
  bool finite = true;
  [[unroll]] for (uint i = 0u; i < 32u; ++i) {
    v[i] = inputs[row * columns + part * 32u + i];
    finite = finite && (floatBitsToUint(v[i]) & 0x7f800000u) != 0x7f800000u;
  }
  if (!finite) damage = 1u;
}

// binary16 of what is at most 65504 in size, to nearest, ties to even.
uint halfBits(float value) {
  const uint bits = floatBitsToUint(value);
  const uint sign = (bits >> 16) & 0x8000u;
  const uint size = bits & 0x7fffffffu;
  if (size < 0x38800000u) {  // below 2⁻¹⁴: one addition rounds to a multiple of 2⁻²⁴
    precise const float shifted = uintBitsToFloat(size) + 0.5;
    return sign | (floatBitsToUint(shifted) - 0x3f000000u);
  }
  return sign | ((size - (112u << 23) + 0xfffu + ((size >> 13) & 1u)) >> 13);
}

uint clampedHalf(float value) {
  return halfBits(value > -kHalfMax ? (value < kHalfMax ? value : kHalfMax) : -kHalfMax);
}

float roundToHalf(float value) { return halfOf(clampedHalf(value)); }

// 0 where 1/step would be infinite: all codes then mean zero.
float inverseOf(float step) {
  if (step == 0.0) return 0.0;
  precise const float inverse = 1.0 / step;
  return abs(inverse) <= 3.4028234e38 ? inverse : 0.0;
}
