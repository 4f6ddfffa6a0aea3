#define BITS 2
#define GROUP 4u
#define LEVELS0 0x00007f23u
#define LEVELS1 0x00004b15u
#include "layouts/tq_1b.glsl"
