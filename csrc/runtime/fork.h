// What must be made anew in a forked child.
#pragma once

namespace lightm {

// A forked child has none of its parent's other threads, and every lock that one of them held stays
// locked for ever. From the first call on, a child begins with an idle thread pool, an empty workspace
// and no kept buffers. Does nothing on systems without fork.
void reset_in_forked_children();

}  // namespace lightm
