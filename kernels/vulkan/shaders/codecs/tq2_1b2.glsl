#define BITS 2
#define GROUP 2u
#define LEVELS0 0x00007f23u
#define LEVELS1 0x00004713u
#include "layouts/tq_1b.glsl"
