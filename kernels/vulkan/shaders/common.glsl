// What all shaders share: f32 helpers on 32-bit words. Base variants need Vulkan 1.1 and nothing
// else: no 8- or 16-bit storage, no 16-bit arithmetic.
#extension GL_EXT_control_flow_attributes : enable

float halfOf(uint bits) { return unpackHalf2x16(bits & 0xffffu).x; }

float bf16Of(uint bits) { return uintBitsToFloat(bits << 16); }
