/* All carriers of the test are on one host, and so by one clock: none is off from another. Where nothing keeps that host's clock in step, as in CI,
   the kernel says so, and daemons rightly answer nothing by themselves. This one says to them that it is kept to a millisecond. */
#include <string.h>
#include <sys/timex.h>

int adjtimex(struct timex *answer) {
  memset(answer, 0, sizeof *answer);
  answer->status = STA_PLL | STA_NANO;
  answer->maxerror = 1000;
  answer->esterror = 100;
  return TIME_OK;
}
